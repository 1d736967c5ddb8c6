{{/* The configuration file: what the chart decides, over the sections given in `config`. */}}
{{- define "holdfast.config" -}}
{{- $own := dict
  "installation" .Values.installation
  "issuer" (required "issuer is required: the URL under which clients reach Holdfast, e.g. --set issuer=https://auth.example.com" .Values.issuer)
  "server" (dict
    "public" (dict "listen" (printf "%s:9000" .Values.server.bindAddress))
    "admin" (dict "listen" (printf "%s:9001" .Values.server.bindAddress))
    "trusted_proxies" .Values.server.trustedProxies
    "shutdown_wait" (printf "%ds" (int .Values.server.shutdownWaitSeconds)))
  "database" (dict "wait" (printf "%ds" (int .Values.database.waitSeconds)))
  "keys" (dict "master_key_secret" (include "holdfast.masterKeySecret" .))
  "operator" (dict
    "enabled" true
    "namespace" .Release.Namespace
    "namespaces" .Values.operator.namespaces
    "trusted_namespaces" (default (list .Release.Namespace) .Values.operator.trustedNamespaces)
    "lease_name" (include "holdfast.fullname" .)
    "drift" (dict
      "mode" .Values.operator.drift.mode
      "scan_interval" (printf "%ds" (int .Values.operator.drift.scanIntervalSeconds)))
    "brake" (dict
      "per_namespace" (int .Values.operator.brake.perNamespace)
      "overall" (int .Values.operator.brake.overall)
      "confirm" (default nil .Values.operator.brake.confirm))
    "resource_hosts" .Values.operator.resourceHosts)
  "metrics" (dict
    "enabled" .Values.metrics.enabled
    "population_interval" (printf "%ds" (int .Values.metrics.populationIntervalSeconds)))
  "logging" (dict "level" .Values.logging.level "format" .Values.logging.format) }}
{{- if .Values.metrics.enabled }}
{{- $_ := set $own.server "metrics" (dict "listen" (printf "%s:9002" .Values.server.bindAddress)) }}
{{- end }}
{{- if include "holdfast.isSqlite" . }}
{{- $_ := set $own.database "url" "sqlite:///var/lib/holdfast/holdfast.db" }}
{{- end }}
{{- mustMergeOverwrite (deepCopy .Values.config) $own | toYaml }}
{{- end }}
