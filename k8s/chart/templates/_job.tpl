{{- /*
The Job that migrates.
In a chart that depends on this one: {{ include "migrator.job" .Subcharts.migrator }}
*/}}
{{- define "migrator.job" -}}
{{- $hook := eq .Values.mode "hook" }}
{{- $grace := int .Values.terminationGracePeriodSeconds }}
{{- $deadline := $hook | ternary (sub (int .Values.hook.timeoutSeconds) (add $grace 30)) (int .Values.job.deadlineSeconds) }}
{{- if lt (int $deadline) 60 }}
{{- fail "hook.timeoutSeconds leaves less than a minute beside terminationGracePeriodSeconds and half a minute for Helm" }}
{{- end }}
{{- $settings := merge (dict) .Values.settings (dict "DEADLINE" (printf "%ds" (sub $deadline (div $deadline 6)))) }}
{{- $container := dict "root" . "name" "migrator" "args" .Values.args "secret" (include "migrator.secret" . | fromYaml) "settings" $settings "resources" .Values.resources }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "migrator.jobName" . }}
  labels: {{- include "migrator.labels" . | nindent 4 }}
  {{- if or $hook .Values.annotations }}
  annotations:
    {{- if $hook }}
    # No pre-rollback: taking a schema back loses data, and an older service runs on a newer schema.
    helm.sh/hook: {{ .Values.hook.events | quote }}
    # A string: the API refuses a number.
    helm.sh/hook-weight: {{ int .Values.hook.weight | quote }}
    # hook-succeeded alone would end in "already exists" after a failure; a failed Job must stay to be read.
    helm.sh/hook-delete-policy: before-hook-creation
    # Prints the log when the hook fails; a Helm too old to know it ignores it.
    helm.sh/hook-output-log-policy: hook-failed
    {{- end }}
    {{- with .Values.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  backoffLimit: {{ int .Values.backoffLimit }}
  # For all attempts together; for a hook with the grace period below --timeout.
  activeDeadlineSeconds: {{ $deadline }}
  # No second migrator while the first one is still rolling back.
  podReplacementPolicy: Failed
  ttlSecondsAfterFinished: {{ int .Values.ttlSecondsAfterFinished }}
  podFailurePolicy:
    rules:
      # First match wins: a drained pod exits too, and that is not the migration's fault.
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
      # The permanent codes of migrator/exit_codes.py: the release fails within seconds, not after the last attempt.
      - action: FailJob
        onExitCodes:
          # Without it, the exit code of an injected sidecar counts as well.
          containerName: migrator
          operator: In
          values: [2, 10, 11, 12, 13, 14, 15]
  template:
    metadata:
      labels:
        {{- include "migrator.selectorLabels" . | nindent 8 }}
        {{- with .Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "migrator.podSettings" . | nindent 6 }}
      {{- with trim (include "migrator.volumes" $container) }}
      volumes: {{- . | nindent 8 }}
      {{- end }}
      containers: {{- include "migrator.container" $container | trim | nindent 8 }}
{{- end }}
