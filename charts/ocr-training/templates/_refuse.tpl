{{/* What cannot be rendered: each thing ends the render with one sentence. */}}

{{- define "ocr.refuse" -}}
{{- $placement := .Values.placement -}}
{{- /* toYaml gives nothing at all for a text with one of these. */ -}}
{{- if regexMatch "[\\x7f-\\x{9f}\\x{fffe}\\x{ffff}]" (toRawJson .Values) -}}
{{- fail "the job file has a control character, for which YAML has no place: leave it out" -}}
{{- end -}}
{{- if eq $placement.engine "auto" -}}
{{- fail "placement.engine is auto: only `ocrfleet submit` can ask the cluster. Name one of job, jobset, trainjob, volcano, paddlejob." -}}
{{- end -}}
{{- if .Values.schedule.cron -}}
{{- fail "schedule.cron is set, which this version cannot render yet: leave it out, and apply the file when it is time." -}}
{{- end -}}
{{- if .Values.notify.webhookSecret -}}
{{- fail "notify.webhookSecret is set, which this version cannot do yet: leave it out, and wait for the end with `kubectl wait`." -}}
{{- end -}}
{{- include "ocr.refuseContradictions" . -}}
{{- if gt (len (include "ocr.runFile" .)) 204800 -}}
{{- fail "run is larger than 200 KiB, more than an annotation may carry: put a large `config` into a recipe of the image." -}}
{{- end -}}
{{- end -}}
