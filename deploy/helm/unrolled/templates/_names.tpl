{{- define "unrolled.name" -}}
{{- $own := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- $own | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "unrolled.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "unrolled.labels" -}}
{{ include "unrolled.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "unrolled.claim" -}}
{{- .Values.store.volume.existingClaim | default (printf "%s-sessions" (include "unrolled.name" .)) -}}
{{- end -}}
