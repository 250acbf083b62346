{{- /* The pod, which is the same in a Deployment and a StatefulSet. */ -}}
{{- define "unrolled.pod" -}}
metadata:
  labels:
    {{- include "unrolled.selector" . | nindent 4 }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  # A Service named unrolled would put variables of the service's own prefix into its environment.
  enableServiceLinks: false
  automountServiceAccountToken: false
  # Until everybody has heard, until the longest answer is out, and until slow clients have read it.
  terminationGracePeriodSeconds: {{ add .Values.drainSeconds .Values.requestTimeoutSeconds 25 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  containers:
    - name: unrolled
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      ports:
        - name: http
          containerPort: 3000
        - name: fast
          containerPort: 3001
      env:
        {{- include "unrolled.environment" . | trim | nindent 8 }}
      # The last line of the log says why it ended: `kubectl describe pod` shows it.
      terminationMessagePolicy: FallbackToLogsOnError
      startupProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 90
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      livenessProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      resources:
        {{- include "unrolled.resources" . | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if .Values.store.volume.enabled }}
        - name: sessions
          mountPath: /var/lib/unrolled
        {{- end }}
        - name: graphs
          mountPath: /var/lib/unrolled/graphs
        {{- if .Values.keys.secret }}
        - name: keys
          mountPath: /run/secrets/unrolled
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    # Locks, and the workers' counts.
    - name: tmp
      emptyDir:
        medium: Memory
        sizeLimit: 64Mi
    # As they are prepared for the node's processor: weights that all workers of the pod share.
    - name: graphs
      emptyDir:
        sizeLimit: 2Gi
    {{- if .Values.store.volume.enabled }}
    - name: sessions
      persistentVolumeClaim:
        claimName: {{ include "unrolled.claim" . }}
    {{- end }}
    {{- if .Values.keys.secret }}
    - name: keys
      secret:
        secretName: {{ .Values.keys.secret }}
        defaultMode: 0440
        items:
          - key: {{ .Values.keys.key }}
            path: keys.txt
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- else }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "unrolled.selector" . | nindent 10 }}
  {{- end }}
{{- end -}}

{{- define "unrolled.environment" -}}
{{- $store := .Values.store -}}
{{- $settings := .Values.settings | default dict -}}
{{- if $store.volume.enabled }}
- name: UNROLLED_STORE
  value: lmdb:///var/lib/unrolled/sessions
- name: UNROLLED_STORE_ON_VOLUME
  value: "1"
{{- if not (hasKey $settings "UNROLLED_MAX_STORE_BYTES") }}
- name: UNROLLED_MAX_STORE_BYTES
  value: {{ min (mul $store.volume.gibibytes 429496729) 1099511627776 | quote }}
{{- end }}
{{- else if $store.url }}
- name: UNROLLED_STORE
  value: {{ $store.url | quote }}
{{- else }}
- name: UNROLLED_STORE
  valueFrom:
    secretKeyRef:
      name: {{ $store.urlSecret.name }}
      key: {{ $store.urlSecret.key }}
{{- end }}
{{- if .Values.keys.secret }}
- name: UNROLLED_API_KEYS
  value: /run/secrets/unrolled/keys.txt
{{- else }}
- name: UNROLLED_ALLOW_UNAUTHENTICATED
  value: "1"
{{- end }}
{{- if .Values.exportKey.secret }}
- name: UNROLLED_EXPORT_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.exportKey.secret }}
      key: {{ .Values.exportKey.key }}
{{- if .Values.exportKey.formerKey }}
- name: UNROLLED_FORMER_EXPORT_KEYS
  valueFrom:
    secretKeyRef:
      name: {{ .Values.exportKey.secret }}
      key: {{ .Values.exportKey.formerKey }}
{{- end }}
{{- end }}
- name: UNROLLED_WORKERS
  value: {{ .Values.workers | quote }}
- name: UNROLLED_SPARE_WORKERS
  value: {{ .Values.spareWorkers | quote }}
- name: UNROLLED_DRAIN_SECONDS
  value: {{ .Values.drainSeconds | quote }}
- name: UNROLLED_REQUEST_TIMEOUT_SECONDS
  value: {{ .Values.requestTimeoutSeconds | quote }}
{{- range $name, $value := $settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "unrolled.resources" -}}
{{- if .Values.resources -}}
{{- toYaml .Values.resources -}}
{{- else -}}
{{- $memory := printf "%dMi" (add 250 (mul 700 .Values.workers) (mul 250 .Values.spareWorkers)) -}}
requests:
  cpu: {{ .Values.workers | quote }}
  memory: {{ $memory }}
limits:
  memory: {{ $memory }}
{{- end -}}
{{- end -}}
