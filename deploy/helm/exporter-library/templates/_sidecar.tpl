{{- /*
An exporter as a sidecar in the pod template of a Deployment, StatefulSet or DaemonSet. A pod template is the same in all three.
Each template takes dict "program" NAME "values" VALUES. See docs/helm.md for an example.
*/ -}}

{{- define "exporter-library.sidecar.check" -}}
{{- if has .program (list "app-status-exporter" "httpd-log-exporter") | not -}}
{{- fail (printf "program: not a sidecar (%s): use app-status-exporter or httpd-log-exporter" .program) -}}
{{- end -}}
{{- end }}

{{- /* Labels of the pod. The label exporter becomes the label job of the metrics. */ -}}
{{- define "exporter-library.sidecar.labels" -}}
{{- include "exporter-library.sidecar.check" . -}}
exporter: {{ .program }}
{{- end }}

{{- /* Annotations of the pod, for a Prometheus that discovers pods by annotations. */ -}}
{{- define "exporter-library.sidecar.annotations" -}}
{{- include "exporter-library.sidecar.check" . -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ include "exporter-library.port" .program | quote }}
{{- end }}

{{- /*
An item of initContainers: a native sidecar, which starts before the application and stops after it (Kubernetes 1.33, or 1.29
with the beta that is on by default).
*/ -}}
{{- define "exporter-library.sidecar.initContainer" -}}
{{- include "exporter-library.sidecar.check" . -}}
- {{ include "exporter-library.container" (merge (dict "restartPolicy" "Always") (include "exporter-library.sidecar.defaults" . | fromYaml) .) | indent 2 | trim }}
{{- end }}

{{- /* An item of containers, for clusters without native sidecars. */ -}}
{{- define "exporter-library.sidecar.container" -}}
{{- include "exporter-library.sidecar.check" . -}}
- {{ include "exporter-library.container" (merge (include "exporter-library.sidecar.defaults" . | fromYaml) .) | indent 2 | trim }}
{{- end }}

{{- /* Items of volumes. The application provides the volume access-log of httpd-log-exporter. */ -}}
{{- define "exporter-library.sidecar.volumes" -}}
{{- include "exporter-library.volumes" (merge (include "exporter-library.sidecar.defaults" . | fromYaml) .) -}}
{{- end }}

{{- define "exporter-library.sidecar.defaults" -}}
{{- if eq .program "httpd-log-exporter" -}}
args: [--state.file=/state/positions] # no line is lost if only this container restarts
volumeMounts:
  - {name: access-log, mountPath: /logs, readOnly: true}
  - {name: exporter-state, mountPath: /state}
volumes:
  - name: exporter-state
    emptyDir: {sizeLimit: 8Mi}
{{- end -}}
{{- end }}
