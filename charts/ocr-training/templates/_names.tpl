{{/* Names and labels: what an object is called follows from what is in it. */}}

{{- /* Leaves keys without a value out of a mapping, as trainer/formats/canonical_json.py does. */ -}}
{{- define "ocr.bare" -}}
{{- /* Where none is without a value, as in what the command line gives, there is no need to look: half of a render. */ -}}
{{- $whole := toRawJson . -}}
{{- if not (contains ":null" $whole) -}}
{{- $whole -}}
{{- else -}}
{{- $bare := dict -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $_ := set $bare $key (include "ocr.bare" $value | fromJson) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $bare $key $value -}}
{{- end -}}
{{- end -}}
{{- toRawJson $bare -}}
{{- end -}}
{{- end -}}

{{- /* Sets .OcrRoot: the values laid over the defaults, since Helm takes a default away where a job file says null, and means to. */ -}}
{{- define "ocr.root" -}}
{{- /* Once for all templates of a render, which share what Helm gives them. */ -}}
{{- if not (hasKey . "OcrRoot") -}}
{{- $values := mergeOverwrite (.Files.Get "defaults.json" | fromJson) (include "ocr.bare" .Values | fromJson) -}}
{{- $onlyWhenSet := (.Files.Get "identity.json" | fromJson).onlyWhenSet -}}
{{- $_ := dict "Values" $values "Defaults" (.Files.Get "defaults.json") "Reserved" (.Files.Get "reserved.json" | fromJsonArray) "Contract" (index .Chart.Annotations "ocrfleet.io/contract") "OnlyWhenSet" $onlyWhenSet | set . "OcrRoot" -}}
{{- end -}}
{{- end -}}

{{- define "ocr.device" -}}
{{- .Values.placement.device | default "gpu" -}}
{{- end -}}

{{- define "ocr.devices" -}}
{{- mul (int .Values.placement.nodes) (int .Values.placement.devicesPerNode) -}}
{{- end -}}

{{- /* <name>-<h8>: the same for the same work; trainer/run/identity.py has the other half of this. */ -}}
{{- define "ocr.runId" -}}
{{- if not (hasKey . "RunId") -}}
{{- $run := include "ocr.bare" .Values.run | fromJson -}}
{{- /* Fields added after 0.1: one that has its default is left out, so that files without it keep their ids. */ -}}
{{- range .OnlyWhenSet -}}
{{- $path := splitList "." .path -}}
{{- $part := $run -}}
{{- range initial $path -}}
{{- $part = get $part . -}}
{{- end -}}
{{- if eq (get $part (last $path) | toRawJson) (toRawJson .default) -}}
{{- $_ := unset $part (last $path) -}}
{{- end -}}
{{- end -}}
{{- $work := printf `{"device":%s,"devices":%s,"image":%s,"run":%s}` (include "ocr.device" . | toRawJson) (include "ocr.devices" .) (toRawJson .Values.placement.image) (toRawJson $run) -}}
{{- $_ := printf "%s-%s" .Values.name ($work | sha256sum | trunc 8) | set . "RunId" -}}
{{- end -}}
{{- .RunId -}}
{{- end -}}

{{- /* <name>-<h8>-<p4>: another placement or another `retry` is another object of the same run. Takes the workload's spec, as text. */ -}}
{{- define "ocr.objectName" -}}
{{- printf "%s-%s" (include "ocr.runId" .root) (.spec | sha256sum | trunc 4) -}}
{{- end -}}

{{- /* What Service, NetworkPolicy and monitors select: all pods of a job's name. */ -}}
{{- define "ocr.selector" -}}
app.kubernetes.io/name: ocr-training
ocrfleet.io/name: {{ .Values.name | quote }}
{{- end -}}

{{- define "ocr.labels" -}}
{{ include "ocr.selector" . }}
app.kubernetes.io/part-of: ocrfleet
app.kubernetes.io/managed-by: ocrfleet
{{- end -}}

{{- define "ocr.runLabels" -}}
{{ include "ocr.labels" . }}
ocrfleet.io/run: {{ include "ocr.runId" . }}
ocrfleet.io/task: {{ .Values.run.task }}
{{- end -}}

{{- /* Nothing that Helm or a GitOps tool does may end a run. */ -}}
{{- define "ocr.kept" -}}
helm.sh/resource-policy: keep
argocd.argoproj.io/sync-options: Prune=false
argocd.argoproj.io/compare-options: IgnoreExtraneous
kustomize.toolkit.fluxcd.io/prune: disabled
{{- end -}}

{{- /* 90s, 5m or 24h in seconds. */ -}}
{{- define "ocr.seconds" -}}
{{- $unit := dict "s" 1 "m" 60 "h" 3600 -}}
{{- /* A number that begins with 0 would be read as an octal one. */ -}}
{{- mul (regexFind "[1-9][0-9]*" . | int64) (get $unit (regexFind "[smh]$" .)) -}}
{{- end -}}
