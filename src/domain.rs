//! What the product is about, free of I/O: policy, the three-way comparison, and what may be issued.
