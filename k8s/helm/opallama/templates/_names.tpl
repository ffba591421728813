{{- define "opallama.labels" -}}
app.kubernetes.io/name: ollama
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: opallama
{{- end }}

{{- define "opallama.selector" -}}
app.kubernetes.io/name: ollama
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "opallama.gatewaySelector" -}}
app.kubernetes.io/name: opallama-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "opallama.gatewayLabels" -}}
app.kubernetes.io/name: opallama-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: opallama
{{- end }}

{{- define "opallama.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end }}

{{- /* What the chart decides, with the user's own members over it. */ -}}
{{- define "opallama.config" -}}
{{- $isGateway := eq .Values.mode "gateway" -}}
{{- $upstream := dict "base_url" "http://127.0.0.1:11434" "readiness" "required" -}}
{{- if $isGateway }}{{ $upstream = dict "base_url" (printf "http://%s-backend:11434" .Release.Name) "readiness" "ignored" }}{{ end -}}
{{- $policy := dict "path" "/opt/opallama/policy.tar.gz" -}}
{{- if eq .Values.policy.source "configMap" }}{{ $policy = dict "path" "/etc/opallama-policy" }}{{ end -}}
{{- if eq .Values.policy.source "bundle" -}}
{{- $bundle := .Values.policy.bundle -}}
{{- $policy = dict "path" $bundle.url "state_dir" "/var/lib/opallama" -}}
{{- if $bundle.tokenKey }}{{ $_ := set $policy "bundle" (dict "token_file" (printf "/run/secrets/opallama/%s" $bundle.tokenKey)) }}{{ end -}}
{{- if $bundle.signature.publicKeyKey }}{{ $_ := set $policy "signature" (dict "algorithm" $bundle.signature.algorithm "public_key_file" (printf "/run/secrets/opallama/%s" $bundle.signature.publicKeyKey)) }}{{ end -}}
{{- end -}}
{{- $tokens := list -}}
{{- if .Values.admin.enabled }}{{ $tokens = append $tokens (dict "name" "operator" "token_file" "/run/secrets/opallama/admin-token") }}{{ end -}}
{{- if not $isGateway }}{{ $tokens = append $tokens (dict "name" "pre-stop" "token_file" "/run/secrets/opallama/drain-token" "scope" "drain") }}{{ end -}}
{{- $own := dict
  "listen" (dict "data" "0.0.0.0:8080" "ops" "0.0.0.0:9464" "admin" "127.0.0.1:9191")
  "upstream" $upstream
  "policy" $policy
  "shutdown" (dict "delay" (printf "%ds" (int .Values.shutdown.delaySeconds)) "grace" (printf "%ds" (int .Values.shutdown.graceSeconds)))
-}}
{{- if $tokens }}{{ $_ := set $own "admin" (dict "tokens" $tokens) }}{{ end -}}
{{- toYaml (mergeOverwrite $own (deepCopy .Values.config)) -}}
{{- end }}

{{- define "opallama.container" -}}
name: opallama
image: {{ include "opallama.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- if and (eq .Values.mode "sidecar") (eq .Values.sidecar "native") }}
restartPolicy: Always
{{- end }}
args: [serve, --config, /etc/opallama/opallama.yaml]
ports:
  - { name: data, containerPort: 8080 }
  - { name: ops, containerPort: 9464 }
# Not /readyz: that waits for Ollama, which is started once this probe has passed.
startupProbe:
  httpGet: { path: /healthz, port: ops }
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /healthz, port: ops }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: { path: /readyz, port: ops }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
resources: {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
volumeMounts:
  - { name: config, mountPath: /etc/opallama, readOnly: true }
  - { name: secrets, mountPath: /run/secrets/opallama, readOnly: true }
  {{- if eq .Values.policy.source "configMap" }}
  - { name: policy, mountPath: /etc/opallama-policy, readOnly: true }
  {{- end }}
  {{- if eq .Values.policy.source "bundle" }}
  - { name: policy-state, mountPath: /var/lib/opallama }
  {{- end }}
{{- end }}

{{- define "opallama.volumes" -}}
- name: config
  configMap: { name: {{ .Release.Name }}-opallama }
# 288 is 0440, which not every reader of YAML takes for octal.
- name: secrets
  secret: { secretName: {{ .Values.secretName }}, defaultMode: 288 }
{{- if eq .Values.policy.source "configMap" }}
- name: policy
  configMap: { name: {{ .Release.Name }}-opallama-policy }
{{- end }}
{{- if eq .Values.policy.source "bundle" }}
- name: policy-state
  emptyDir: { sizeLimit: 256Mi }
{{- end }}
{{- end }}

{{- define "opallama.pod" -}}
serviceAccountName: {{ .Release.Name }}
automountServiceAccountToken: false
# A Service named opallama would set OPALLAMA_PORT and the like.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- end }}
