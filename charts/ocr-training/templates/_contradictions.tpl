{{/* Contradictions that the schema cannot tell, in the words of the command line's model (trainer/run/spec.py, jobs/jobfile/placement.py),
which leaves them out where it has read the job. */}}

{{- define "ocr.refuseContradictions" -}}
{{- $placement := .Values.placement -}}
{{- $account := .Values.chart.serviceAccount -}}
{{- if and (eq .Values.name "default") $account.create (not $account.name) (not $placement.serviceAccount) -}}
{{- fail "name is default, and every namespace already has a ServiceAccount of that name: choose another name, or set chart.serviceAccount.name" -}}
{{- end -}}
{{- /* JobSet wants -<8>-<4>-node-0-<node>-<5> to fit behind the name into 63. */ -}}
{{- $longest := sub 35 (sub $placement.nodes 1 | toString | len) -}}
{{- if and (has $placement.engine (list "jobset" "trainjob")) (gt (len .Values.name | int64) $longest) -}}
{{- fail (printf "name has %d characters: with placement.engine %s and %d nodes it may have at most %d, since JobSet appends to it" (len .Values.name) $placement.engine (int $placement.nodes) $longest) -}}
{{- end -}}
{{- $once := dict "timeZone" "Etc/UTC" "skipIfUnchanged" true "suspendAfterFailures" 3 -}}
{{- range list "timeZone" "skipIfUnchanged" "suspendAfterFailures" -}}
{{- if ne (toString (index $.Values.schedule .)) (toString (index $once .)) -}}
{{- fail (printf "schedule.cron is missing: without it schedule.%s has no effect" .) -}}
{{- end -}}
{{- end -}}
{{- if eq (kindIs "string" .Values.run.recipe) (kindIs "map" .Values.run.config) -}}
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
{{- fail "placement.storage.cache.accessMode needs `ephemeral` or `existingClaim`; neither is set" -}}
{{- end -}}
{{- if and (gt (int $placement.nodes) 1) $cache.existingClaim (not $many) -}}
{{- fail (printf "placement.storage.cache.existingClaim is one volume for %d nodes: if all of them can mount it, set placement.storage.cache.accessMode: ReadWriteMany; otherwise use `ephemeral` or `emptyDir`" (int $placement.nodes)) -}}
{{- end -}}
{{- if and $placement.serviceAccount $placement.credentialsSecret -}}
{{- fail "placement has serviceAccount and credentialsSecret: the secret would hide the account's identity; choose one" -}}
{{- end -}}
{{- range $place, $name := $placement.imagePullSecrets -}}
{{- if has $name (slice $placement.imagePullSecrets 0 $place) -}}
{{- fail (printf "placement.imagePullSecrets has %s twice: remove one" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.run.init.pretrained (not (hasPrefix "channel:" .Values.run.init.pretrained)) (not .Values.run.init.sha256) -}}
{{- fail "run.init.sha256 is missing: a .pdparams file is a pickle, so it is read only with its digest (`sha256sum FILE` prints it)" -}}
{{- end -}}
{{- with .Values.run.distill -}}
{{- if and .teacher (not (hasPrefix "channel:" .teacher)) (not .teacherSha256) -}}
{{- fail "run.distill.teacherSha256 is missing: a .pdparams file is a pickle, so it is read only with its digest (`sha256sum FILE` prints it)" -}}
{{- end -}}
{{- if and .teacher .randomTeacher -}}
{{- fail "run.distill has both teacher and randomTeacher: choose one" -}}
{{- end -}}
{{- end -}}
{{- if and $cache.storageClass (not $cache.ephemeral) -}}
{{- fail "placement.storage.cache.storageClass needs `ephemeral`, which is not set" -}}
{{- end -}}
{{- include "ocr.refuseResources" . -}}
{{- include "ocr.refuseChart" . -}}
{{- end -}}

{{- define "ocr.refuseResources" -}}
{{- $placement := .Values.placement -}}
{{- $limits := $placement.resources.limits -}}
{{- range $name, $amount := $placement.resources.requests -}}
{{- if contains "/" $name -}}
{{- fail (printf "placement.resources.requests has %s: devices are requested by limits; move it to placement.resources.limits" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $amount := $limits -}}
{{- if eq $name "nvidia.com/gpu" -}}
{{- fail (printf "placement.resources.limits has %s: it is set from placement.devicesPerNode; remove it" $name) -}}
{{- end -}}
{{- if eq $name ($.Values.chart.rdma.resource | default "") -}}
{{- fail (printf "placement.resources.limits has %s: it is set from chart.rdma; remove it" $name) -}}
{{- end -}}
{{- if hasPrefix "requests." $name -}}
{{- fail (printf "placement.resources.limits has %s: write the name of the device, without `requests.`" $name) -}}
{{- end -}}
{{- if and (contains "/" $name) (hasSuffix "m" (toString $amount)) -}}
{{- fail (printf "placement.resources.limits.%s is %v: the number of devices must be a whole number" $name $amount) -}}
{{- end -}}
{{- end -}}
{{- end -}}
