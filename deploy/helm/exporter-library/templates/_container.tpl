{{- /* Default port and memory limit of each program. */ -}}
{{- define "exporter-library.programs" -}}
cpu-exporter: {port: 8000, memory: 64Mi}
httpd-log-exporter: {port: 8001, memory: 64Mi}
app-status-exporter: {port: 9877, memory: 64Mi}
queue-exporter: {port: 9100, memory: 128Mi}
{{- end }}

{{- /* The port of a program. Argument: its name. */ -}}
{{- define "exporter-library.port" -}}
{{- $programs := include "exporter-library.programs" . | fromYaml -}}
{{- $program := get $programs . | required (printf "program: unknown exporter (%s): one of %s" . (keys $programs | sortAlpha | join ", ")) -}}
{{- $program.port -}}
{{- end }}

{{- /*
The image of a program. Argument: program, and values with image: {registry, repository, tag, digest}. The default tag is this
chart's version; a digest takes precedence over the tag.
*/ -}}
{{- define "exporter-library.image" -}}
{{- $image := .values.image | default dict -}}
{{- $registry := $image.registry | required "image.registry: missing: set the registry with the exporters' images" -}}
{{- $name := printf "%s/%s" $registry ($image.repository | default .program) -}}
{{- if $image.digest -}}
{{ $name }}@{{ $image.digest }}
{{- else -}}
{{ $name }}:{{ $image.tag | default "v0.1.0" }}
{{- end -}}
{{- end }}

{{- /* The security context that Pod Security "restricted" requires. Argument: overrides. */ -}}
{{- define "exporter-library.securityContext" -}}
{{- $restricted := dict "runAsNonRoot" true "runAsUser" 65532 "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true
  "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- mergeOverwrite $restricted (. | default dict) | toYaml -}}
{{- end }}

{{- /*
A container. Arguments: program; values (see the values of the chart "exporters"); optional: name, args (before extraArgs),
readiness (whether it has a readiness probe), restartPolicy, volumeMounts (before extraVolumeMounts).
A sidecar has no readiness probe: a failing exporter would remove the application from its Service. No container has a CPU
limit: throttling would delay scrapes.
*/ -}}
{{- define "exporter-library.container" -}}
{{- $program := get (include "exporter-library.programs" . | fromYaml) .program -}}
{{- $port := include "exporter-library.port" .program | int -}}
{{- $values := .values -}}
{{- $args := concat (.args | default list) ($values.args | default list) ($values.extraArgs | default list) -}}
{{- $mounts := concat (.volumeMounts | default list) ($values.extraVolumeMounts | default list) -}}
name: {{ .name | default .program }}
image: {{ include "exporter-library.image" . | quote }}
{{- with ($values.image).pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- with .restartPolicy }}
restartPolicy: {{ . }}
{{- end }}
{{- with $args }}
args:
  {{- range . }}
  - {{ quote . }}
  {{- end }}
{{- end }}
{{- with $values.extraEnv }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - {name: metrics, containerPort: {{ $port }}}
  {{- range $values.extraPorts }}
  - {name: {{ .name }}, containerPort: {{ .port }}, protocol: {{ .protocol | default "TCP" }}}
  {{- end }}
livenessProbe:
  httpGet: {path: /-/healthy, port: metrics}
{{- if .readiness }}
readinessProbe:
  httpGet: {path: /-/ready, port: metrics}
{{- end }}
resources: {{- mergeOverwrite (dict "requests" (dict "cpu" "10m" "memory" "16Mi") "limits" (dict "memory" $program.memory)) ($values.resources | default dict) | toYaml | nindent 2 }}
securityContext: {{- include "exporter-library.securityContext" $values.securityContext | nindent 2 }}
{{- if or $mounts $values.existingSecret }}
volumeMounts:
  {{- with $values.existingSecret }}
  - {name: exporter-secret, mountPath: /run/secrets/{{ $.program }}, readOnly: true}
  {{- end }}
  {{- with $mounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
terminationMessagePolicy: FallbackToLogsOnError
{{- end }}

{{- /* Volumes of a container: its secret and extraVolumes. Arguments as above. An empty string if there are none. */ -}}
{{- define "exporter-library.volumes" -}}
{{- with .values.existingSecret }}
- name: exporter-secret
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with concat (.volumes | default list) (.values.extraVolumes | default list) }}
{{ toYaml . }}
{{- end }}
{{- end }}
