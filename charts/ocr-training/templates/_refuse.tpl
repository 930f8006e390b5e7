{{/* Contradictions that a schema cannot tell: each ends the render with one sentence. */}}

{{- define "ocr.refuse" -}}
{{- $placement := .Values.placement -}}
{{- if eq $placement.engine "auto" -}}
{{- fail "placement.engine is auto: only `ocrfleet submit` can ask the cluster. Name one of job, jobset, trainjob, volcano, paddlejob." -}}
{{- end -}}
{{- $limit := dig "memory" "" $placement.resources.limits -}}
{{- if $limit -}}
{{- if le (include "ocr.bytes" $limit | int64) (include "ocr.bytes" $placement.storage.sharedMemory | int64) -}}
{{- fail (printf "placement.storage.sharedMemory is %s, but placement.resources.limits.memory is %s: /dev/shm is in memory and counts in the limit. Raise the limit, or take less." $placement.storage.sharedMemory $limit) -}}
{{- end -}}
{{- end -}}
{{- if gt (len (toRawJson .Values.run)) 204800 -}}
{{- fail "run is larger than 200 KiB, more than an annotation can carry: put a large `config` into a recipe of the image." -}}
{{- end -}}
{{- if and $placement.serviceAccount $placement.credentialsSecret -}}
{{- fail "placement has serviceAccount and credentialsSecret: the secret would hide the account's identity; choose one" -}}
{{- end -}}
{{- end -}}
