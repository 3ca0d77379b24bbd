{{- /*
An init container for your pods: it ends when the database has what the image's files have.
  initContainers: {{- include "migrator.wait" .Subcharts.migrator | nindent 8 }}
*/}}
{{- define "migrator.wait" -}}
{{- include "migrator.container" (dict "root" . "name" "wait-for-schema" "args" (list "wait") "secret" (include "migrator.waitSecret" . | fromYaml) "settings" (merge (dict) (dict "WAIT" .Values.wait.timeout) .Values.settings) "resources" .Values.wait.resources) | trim }}
{{- end }}

{{- /*
The volumes of that container, for the pod that it is in.
  volumes: {{- include "migrator.waitVolumes" .Subcharts.migrator | nindent 8 }}
*/}}
{{- define "migrator.waitVolumes" -}}
{{- include "migrator.volumes" (dict "root" . "name" "wait-for-schema" "secret" (include "migrator.waitSecret" . | fromYaml)) | trim }}
{{- end }}

{{- define "migrator.waitSecret" -}}
{{- if .Values.wait.existingSecret.name }}
{{- toYaml .Values.wait.existingSecret }}
{{- else }}
{{- include "migrator.secret" . }}
{{- end }}
{{- end }}
