{{/* Contradictions that the schema cannot tell: each ends the render with one sentence, the model's own where it has one. */}}

{{- define "ocr.refuse" -}}
{{- $placement := .Values.placement -}}
{{- if eq $placement.engine "auto" -}}
{{- fail "placement.engine is auto: only `ocrfleet submit` can ask the cluster. Name one of job, jobset, trainjob, volcano, paddlejob." -}}
{{- end -}}
{{- if .Values.schedule.cron -}}
{{- fail "schedule.cron is set, which this version cannot render yet: leave it out, and apply the file when it is time." -}}
{{- end -}}
{{- $once := dict "timeZone" "Etc/UTC" "skipIfUnchanged" true "suspendAfterFailures" 3 -}}
{{- range list "timeZone" "skipIfUnchanged" "suspendAfterFailures" -}}
{{- if ne (toString (index $.Values.schedule .)) (toString (index $once .)) -}}
{{- fail (printf "schedule.cron is missing: without it schedule.%s has no meaning" .) -}}
{{- end -}}
{{- end -}}
{{- if .Values.notify.webhookSecret -}}
{{- fail "notify.webhookSecret is set, which this version cannot do yet: leave it out, and wait for the end with `kubectl wait`." -}}
{{- end -}}
{{- if and .Values.run.recipe .Values.run.config -}}
{{- fail "run needs one of `recipe` and `config`, and not both" -}}
{{- end -}}
{{- $places := list -}}
{{- range list "emptyDir" "ephemeral" "existingClaim" -}}
{{- if index $placement.storage.cache . -}}
{{- $places = append $places . -}}
{{- end -}}
{{- end -}}
{{- if gt (len $places) 1 -}}
{{- fail (printf "placement.storage.cache has %s: choose one" (join " and " $places)) -}}
{{- end -}}
{{- $cache := $placement.storage.cache -}}
{{- $many := eq $cache.accessMode "ReadWriteMany" -}}
{{- if and $many (not $cache.ephemeral) (not $cache.existingClaim) -}}
{{- fail "placement.storage.cache.accessMode is for `ephemeral` and `existingClaim`, and neither is set" -}}
{{- end -}}
{{- if and (gt (int $placement.nodes) 1) $cache.existingClaim (not $many) -}}
{{- fail (printf "placement.storage.cache.existingClaim is one volume for %d nodes: if all of them can mount it, say so with placement.storage.cache.accessMode: ReadWriteMany; else use `ephemeral` or `emptyDir`" (int $placement.nodes)) -}}
{{- end -}}
{{- if and $placement.serviceAccount $placement.credentialsSecret -}}
{{- fail "placement has serviceAccount and credentialsSecret: the secret would hide the account's identity; choose one" -}}
{{- end -}}
{{- $identity := .Values.chart.identity -}}
{{- if and $placement.credentialsSecret (ne $identity.preset "none") -}}
{{- fail "the job has placement.credentialsSecret and chart.identity: the secret would hide the identity; choose one" -}}
{{- end -}}
{{- range $field, $preset := dict "role" "aws-irsa" "account" "gke" "clientId" "azure" -}}
{{- if and (index $identity $field) (ne $identity.preset $preset) -}}
{{- fail (printf "chart.identity.%s is for the preset %s, and the preset is %s" $field $preset $identity.preset) -}}
{{- end -}}
{{- end -}}
{{- range .Values.chart.extraEnv -}}
{{- if or (hasPrefix "OCRFLEET_" .name) (hasPrefix "PADDLE_" .name) -}}
{{- fail (printf "chart.extraEnv has %s: such variables are set by ocrfleet alone" .name) -}}
{{- end -}}
{{- if has .name (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN") -}}
{{- fail (printf "chart.extraEnv has %s: keys are in a Secret, see placement.credentialsSecret" .name) -}}
{{- end -}}
{{- end -}}
{{- $limit := dig "memory" "" $placement.resources.limits -}}
{{- if $limit -}}
{{- if le (include "ocr.bytes" $limit | int64) (include "ocr.bytes" $placement.storage.sharedMemory | int64) -}}
{{- fail (printf "placement.storage.sharedMemory is %s, but placement.resources.limits.memory is %v: /dev/shm is in memory and counts in the limit. Raise the limit, or take less." $placement.storage.sharedMemory $limit) -}}
{{- end -}}
{{- end -}}
{{- if gt (len (include "ocr.runFile" .)) 204800 -}}
{{- fail "run is larger than 200 KiB, more than an annotation may carry: put a large `config` into a recipe of the image." -}}
{{- end -}}
{{- end -}}
