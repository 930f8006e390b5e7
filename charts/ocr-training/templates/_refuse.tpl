{{/* What cannot be rendered: each thing ends the render with one sentence. */}}

{{- define "ocr.refuse" -}}
{{- $placement := .Values.placement -}}
{{- /* toYaml gives nothing at all for a text with one of these. */ -}}
{{- if regexMatch "[\\x7f-\\x{9f}\\x{fffe}\\x{ffff}]" (toRawJson .Values) -}}
{{- fail "the job file has a control character, which YAML does not allow: remove it" -}}
{{- end -}}
{{- if eq $placement.engine "auto" -}}
{{- fail "placement.engine is auto: only `ocrfleet submit` can ask the cluster. Set one of job, jobset, trainjob, volcano, paddlejob." -}}
{{- end -}}
{{- if .Values.schedule.cron -}}
{{- fail "schedule.cron is set, but scheduled runs are not available yet: remove it, and start each run yourself." -}}
{{- end -}}
{{- if .Values.notify.webhookSecret -}}
{{- fail "notify.webhookSecret is set, but webhooks are not available yet: remove it, and wait for the run with `ocrfleet watch`." -}}
{{- end -}}
{{- include "ocr.refuseContradictions" . -}}
{{- if gt (len (include "ocr.runFile" .)) 204800 -}}
{{- fail "run is larger than 200 KiB, which does not fit into an annotation: shorten `run.config`, or build it into the image as a recipe." -}}
{{- end -}}
{{- end -}}
