//! The cluster's little brother: the same resources from a folder of YAML.
