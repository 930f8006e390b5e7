{{/* What is refused, each with one sentence: what cannot be rendered, and fields that contradict each other, in the words of the command line's model. What the schema can say is there (docs/chart.py), and what the API server says itself is left to it. */}}

{{- define "ocr.refuse" -}}
{{- $placement := .Values.placement -}}
{{- /* toYaml gives nothing at all for a text with one of these. */ -}}
{{- if regexMatch "[\\x7f-\\x{9f}\\x{fffe}\\x{ffff}]" (toRawJson .Values) -}}
{{- fail "the job file has a control character, which YAML does not allow: remove it" -}}
{{- end -}}
{{- if eq $placement.engine "auto" -}}
{{- fail "placement.engine is auto: only `ocrfleet submit` can ask the cluster. Set one of job, jobset, trainjob, volcano, paddlejob." -}}
{{- end -}}
{{- if ne (toRawJson .Values.schedule) (fromJson .Defaults | dig "schedule" dict | toRawJson) -}}
{{- fail "schedule is set, but scheduled runs are not available yet: remove it, and start each run yourself." -}}
{{- end -}}
{{- if .Values.notify.webhookSecret -}}
{{- fail "notify.webhookSecret is set, but webhooks are not available yet: remove it, and wait for the run with `ocrfleet watch`." -}}
{{- end -}}
{{- /* It has no default: a cluster pulls a name without a registry from a public one, where anyone can publish it. */ -}}
{{- if not $placement.image -}}
{{- fail "placement.image is missing: set it to the trainer image in your registry, such as registry.example.com/ocr/ocrfleet:TAG. docs/tasks/run/build-the-image.md describes how to build and push it." -}}
{{- end -}}
{{- include "ocr.refuseRun" .Values.run -}}
{{- include "ocr.refusePlacement" . -}}
{{- include "ocr.refuseReserved" . -}}
{{- if gt (len (include "ocr.runFile" .)) 204800 -}}
{{- fail "run is larger than 200 KiB, which does not fit into an annotation: shorten `run.config`, or build it into the image as a recipe." -}}
{{- end -}}
{{- end -}}

{{- define "ocr.refuseRun" -}}
{{- if and (kindIs "string" .recipe) (kindIs "map" .config) -}}
{{- fail "run needs one of `recipe` and `config`, and not both" -}}
{{- end -}}
{{- if and .distill.teacher .distill.randomTeacher -}}
{{- fail "run.distill has both teacher and randomTeacher: choose one" -}}
{{- end -}}
{{- end -}}

{{- define "ocr.refusePlacement" -}}
{{- $placement := .Values.placement -}}
{{- $account := .Values.chart.serviceAccount -}}
{{- if and $account.create (not $placement.serviceAccount) (eq (include "ocr.serviceAccount" .) "default") -}}
{{- fail "the ServiceAccount would be named default, and every namespace already has one of that name: choose another name, or set chart.serviceAccount.create: false" -}}
{{- end -}}
{{- /* JobSet wants -<8>-<4>-node-0-<node>-<5> to fit behind the name into 63. */ -}}
{{- $longest := sub 35 (sub $placement.nodes 1 | toString | len) -}}
{{- if and (has $placement.engine (list "jobset" "trainjob")) (gt (len .Values.name | int64) $longest) -}}
{{- fail (printf "name has %d characters: with placement.engine %s and %d nodes it may have at most %d, since JobSet appends to it" (len .Values.name) $placement.engine (int $placement.nodes) $longest) -}}
{{- end -}}
{{- $cache := $placement.storage.cache -}}
{{- $places := list -}}
{{- range list "emptyDir" "ephemeral" "existingClaim" -}}
{{- if index $cache . -}}
{{- $places = append $places . -}}
{{- end -}}
{{- end -}}
{{- if gt (len $places) 1 -}}
{{- fail (printf "placement.storage.cache has %s: choose one" (join " and " $places)) -}}
{{- end -}}
{{- if and (gt (int $placement.nodes) 1) $cache.existingClaim (ne $cache.accessMode "ReadWriteMany") -}}
{{- fail (printf "placement.storage.cache.existingClaim is one volume for %d nodes: if all of them can mount it, set placement.storage.cache.accessMode: ReadWriteMany; otherwise use `ephemeral` or `emptyDir`" (int $placement.nodes)) -}}
{{- end -}}
{{- if and $placement.serviceAccount $placement.credentialsSecret -}}
{{- fail "placement has serviceAccount and credentialsSecret: the secret would hide the account's identity; choose one" -}}
{{- end -}}
{{- if and $placement.credentialsSecret (ne .Values.chart.identity.preset "none") -}}
{{- fail "the job has placement.credentialsSecret and chart.identity: the secret would hide the identity; choose one" -}}
{{- end -}}
{{- if hasKey $placement.resources.limits "nvidia.com/gpu" -}}
{{- fail "placement.resources.limits has nvidia.com/gpu: it is set from placement.devicesPerNode; remove it" -}}
{{- end -}}
{{- end -}}

{{- /* Names of labels, annotations and variables by the table of jobs/jobfile/reserved.py. */ -}}
{{- define "ocr.refuseReserved" -}}
{{- $chart := .Values.chart -}}
{{- $variables := dict -}}
{{- range $chart.extraEnv -}}
{{- /* A proxy's URL with a password comes from a Secret. */ -}}
{{- if not (and .valueFrom (has .name (list "HTTP_PROXY" "HTTPS_PROXY"))) -}}
{{- $_ := set $variables .name true -}}
{{- end -}}
{{- end -}}
{{- $given := dict "chart.podLabels" $chart.podLabels "chart.podAnnotations" $chart.podAnnotations "chart.podMonitor.labels" $chart.podMonitor.labels "chart.serviceAccount.annotations" $chart.serviceAccount.annotations "chart.extraEnv" $variables -}}
{{- range .Reserved -}}
{{- $rule := . -}}
{{- range $name := get $given .field | keys | sortAlpha -}}
{{- if regexMatch $rule.names $name -}}
{{- fail (printf "%s has %s: %s" $rule.field $name $rule.why) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
