{{/* The rule groups: files/alerts.yaml filled in with the values. A group always has a rule, or it is left out. */}}
{{- define "holdfast.selector" -}}
{{- default (printf "namespace=%q,service=\"%s-metrics\"" .Release.Namespace (include "holdfast.fullname" .)) .Values.prometheusRule.selector }}
{{- end }}

{{/* Two releases' alerts must differ in a label, or Alertmanager takes them for one. */}}
{{- define "holdfast.alertLabels" -}}
{{- $release := dict }}
{{- if not .Values.prometheusRule.selector }}
{{- $_ := set $release "release" (printf "%s/%s" .Release.Namespace (include "holdfast.fullname" .)) }}
{{- end }}
{{- mustMergeOverwrite $release (deepCopy .Values.prometheusRule.alertLabels) | toYaml }}
{{- end }}

{{- define "holdfast.alertGroups" -}}
{{- $values := .Values.prometheusRule }}
{{- $selector := include "holdfast.selector" . }}
{{- $common := include "holdfast.alertLabels" . | fromYaml }}
groups:
{{- range $group := (.Files.Get "files/alerts.yaml" | fromYaml).groups }}
{{- $rules := list }}
{{- range $alert := $group.alerts }}
{{- $mine := index $values.alerts $alert.alert }}
{{- range $level := list "warning" "critical" }}
{{- $at := index $mine $level }}
{{- if and $mine.enabled $at $at.enabled }}
{{- $rules = append $rules (dict "alert" $alert "mine" $mine "at" $at) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $rules }}
- name: {{ $group.name }}
  {{- with $values.interval }}
  interval: {{ . }}
  {{- end }}
  rules:
  {{- range $rules }}
  - alert: {{ .alert.alert }}
    expr: |-
      {{- .alert.expr | replace "<selector>" $selector | replace "<threshold>" (toString .at.threshold) | replace "<minimumRate>" (toString .mine.minimumRate) | nindent 6 }}
    for: {{ index .at "for" }}
    labels:
      {{- mustMergeOverwrite (dict) $common (deepCopy .mine.labels) (dict "severity" .at.severity) | toYaml | nindent 6 }}
    annotations:
      summary: {{ .alert.summary | quote }}
      description: {{ .alert.description | quote }}
      runbook_url: {{ default (printf "%s%s" $values.runbookBaseURL (lower .alert.alert)) .mine.runbook_url | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}
