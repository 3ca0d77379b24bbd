{{- /*
A container of the migrator's image, as a list of one.
Takes a dict: root, name, args, secret (name and key), settings, resources.
*/}}
{{- define "migrator.container" -}}
{{- $values := .root.Values }}
- name: {{ .name }}
  image: {{ include "migrator.image" .root }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  {{- with .args }}
  args: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with trim (include "migrator.env" .) }}
  env: {{- . | nindent 4 }}
  {{- end }}
  {{- with $values.envFrom }}
  envFrom: {{- toYaml . | nindent 4 }}
  {{- end }}
  # A process that was killed writes no message: show the end of its log.
  terminationMessagePolicy: FallbackToLogsOnError
  resources: {{- toYaml .resources | nindent 4 }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
    # Here as well as in the pod: a pod of yours, with "migrator.wait" in it, may say nothing.
    runAsNonRoot: true
    {{- with $values.runAsUser }}
    runAsUser: {{ int . }}
    runAsGroup: {{ int . }}
    {{- end }}
    seccompProfile:
      type: RuntimeDefault
  {{- with trim (include "migrator.mounts" .) }}
  volumeMounts: {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "migrator.env" -}}
{{- $database := .root.Values.database }}
{{- if and .secret.name $database.asVariable }}
- name: MIGRATOR_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .secret.name }}
      key: {{ .secret.key }}
{{- else if .secret.name }}
- name: MIGRATOR_DATABASE_URL_FILE
  value: /etc/migrator/database/{{ .secret.key }}
{{- end }}
{{- if .secret.name }}
{{- with $database.sslmode }}
# What the URL does not say, libpq takes from these.
- name: PGSSLMODE
  value: {{ . }}
{{- end }}
{{- with $database.rootCertificate }}
- name: PGSSLROOTCERT
  value: {{ eq . "system" | ternary . (printf "/etc/migrator/database/%s" .) }}
{{- end }}
{{- with $database.requireAuth }}
- name: PGREQUIREAUTH
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- range $name, $value := .settings }}
- name: MIGRATOR_{{ $name }}
  {{- /* Helm reads 20250101120000 as a float, which quote alone would print with an exponent. */}}
  value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- with .root.Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "migrator.mounts" -}}
{{- $values := .root.Values }}
{{- if .secret.name }}
- name: {{ .name }}-database
  # Never with subPath: such a file keeps its old content when the Secret changes.
  mountPath: /etc/migrator/database
  readOnly: true
{{- end }}
{{- if or $values.migrations.configMap $values.migrations.image }}
- name: migrations
  mountPath: /migrations
  readOnly: true
{{- end }}
{{- with $values.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The volumes of such a container. Takes the same dict. */}}
{{- define "migrator.volumes" -}}
{{- $values := .root.Values }}
{{- if .secret.name }}
- name: {{ .name }}-database
  secret:
    secretName: {{ .secret.name }}
    # Readable for whatever user the pod has; no other container mounts it.
    defaultMode: 0444
{{- end }}
{{- if and $values.migrations.configMap $values.migrations.image }}
{{- fail "migrations.configMap and migrations.image exclude each other" }}
{{- end }}
{{- with $values.migrations.configMap }}
- name: migrations
  configMap:
    name: {{ . }}
{{- end }}
{{- with $values.migrations.image }}
- name: migrations
  image:
    reference: {{ . }}
    pullPolicy: IfNotPresent
{{- end }}
{{- with $values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Where the Job finds its database: name and key of a Secret, as YAML. */}}
{{- define "migrator.secret" -}}
{{- with .Values.database }}
{{- if and .url .existingSecret.name }}
{{- fail "database.url and database.existingSecret.name exclude each other" }}
{{- end }}
{{- if not (or .url .existingSecret.name $.Values.env $.Values.envFrom) }}
{{- fail "no database: set database.existingSecret.name, or database.url, or PGHOST and others in env or envFrom" }}
{{- end }}
name: {{ empty .url | ternary .existingSecret.name (include "migrator.fullname" $) | quote }}
key: {{ empty .url | ternary .existingSecret.key "database-url" | quote }}
{{- end }}
{{- end }}

{{- /* What a pod of nothing but migrators says around its containers. */}}
{{- define "migrator.podSettings" -}}
# OnFailure would delete the pod with the last attempt, its log included.
restartPolicy: Never
terminationGracePeriodSeconds: {{ int .Values.terminationGracePeriodSeconds }}
# It never talks to Kubernetes.
automountServiceAccountToken: false
# A Service called "migrator" would set MIGRATOR_PORT=tcp://…
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- with .Values.runAsUser }}
  runAsUser: {{ int . }}
  runAsGroup: {{ int . }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
