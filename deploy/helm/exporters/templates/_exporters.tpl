{{- /*
The enabled exporters as a JSON list. Each has program, name, kind, labels, selector and values: the chart's defaults, then the
section (cpu, queue, …), then the instance.
*/ -}}
{{- define "exporters.list" -}}
{{- $root := . -}}
{{- $programs := dict "cpu" "cpu-exporter" "httpdLog" "httpd-log-exporter" "appStatus" "app-status-exporter" "queue" "queue-exporter" -}}
{{- $list := list -}}
{{- range $key, $program := $programs -}}
  {{- $section := get $root.Values $key -}}
  {{- $instances := $section.instances | default dict -}}
  {{- if and $section.enabled (ne $key "cpu") (not $instances) -}}
    {{- fail (printf "%s.instances: missing: each instance is one %s" $key $program) -}}
  {{- end -}}
  {{- if eq $key "cpu" -}}{{- $instances = dict "" dict -}}{{- end -}}
  {{- range $instance, $own := ternary $instances dict $section.enabled -}}
    {{- $values := mergeOverwrite (deepCopy $root.Values.defaults) (omit (deepCopy $section) "instances" "enabled") (deepCopy ($own | default dict)) -}}
    {{- $_ := set $values "image" (merge (deepCopy ($values.image | default dict)) $root.Values.image) -}}
    {{- $name := printf "%s-%s" $root.Release.Name $program -}}
    {{- if $instance -}}{{- $name = printf "%s-%s" $name $instance -}}{{- end -}}
    {{- $selector := dict "app.kubernetes.io/name" $program "app.kubernetes.io/instance" ($name | trunc 63) -}}
    {{- $labels := merge (dict "app.kubernetes.io/component" "exporter" "app.kubernetes.io/part-of" "exporters" "exporter" $program) $selector -}}
    {{- $kind := ternary "DaemonSet" "Deployment" (eq $key "cpu") -}}
    {{- $list = append $list (dict "program" $program "name" ($name | trunc 63) "kind" $kind "selector" $selector "labels" $labels "values" $values) -}}
  {{- end -}}
{{- end -}}
{{- $list | toJson -}}
{{- end }}

{{- /* Labels of every object. */ -}}
{{- define "exporters.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* Ports that exporters serve: metrics and extraPorts. Argument: an exporter. */ -}}
{{- define "exporters.ports" -}}
- {name: metrics, port: {{ include "exporter-library.port" .program }}, protocol: TCP}
{{- range .values.extraPorts }}
- {name: {{ .name }}, port: {{ .port | int }}, protocol: {{ .protocol | default "TCP" }}}
{{- end }}
{{- end }}

{{- /*
Relabelings that identify an exporter independently of its pod: cpu-exporter by its node, the others by their Deployment.
*/ -}}
{{- define "exporters.relabelings" -}}
{{- if eq .kind "DaemonSet" -}}
- sourceLabels: [__meta_kubernetes_pod_node_name]
  targetLabel: instance
{{- else -}}
- sourceLabels: [__meta_kubernetes_pod_name]
  regex: (.+?)(-[bcdfghjklmnpqrstvwxz2456789]{6,10})?-[a-z0-9]+
  targetLabel: instance
{{- end }}
{{- with .values.relabelings }}
{{ toYaml . }}
{{- end }}
{{- end }}
