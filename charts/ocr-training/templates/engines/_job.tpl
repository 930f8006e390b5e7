{{/* engine: job. An Indexed Job; needs nothing installed. Its spec is JobSet's and Trainer's, too. */}}

{{- define "ocr.jobSpec" -}}
{{- $placement := .root.Values.placement -}}
completionMode: Indexed
completions: {{ $placement.nodes }}
parallelism: {{ $placement.nodes }}
{{- /* The gang counts its own attempts; this is the fence around them, over all pods. */}}
backoffLimit: {{ mul (add (int $placement.retries) 1) (int $placement.nodes) 2 }}
{{- /* A pod on a node that is cut off keeps its rank until it is known to be gone. */}}
podReplacementPolicy: Failed
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
    - action: FailJob
      onExitCodes: {operator: In, values: [2, 40, 41, 42, 43, 44, 45, 46, 47]}
    - action: Ignore
      onExitCodes: {operator: In, values: [143]}
{{- /* The leader publishes; when it has, all is done. */}}
successPolicy:
  rules: [{succeededIndexes: "0"}]
template:
  {{- include "ocr.podTemplate" . | nindent 2 }}
{{- end -}}

{{- define "ocr.engine.job" -}}
{{- $pod := dict "root" . "rankLabel" "batch.kubernetes.io/job-completion-index" "objectLabel" "batch.kubernetes.io/job-name" "hosts" (printf "$(OCRFLEET_OBJECT)-*.%s" .Values.name) -}}
{{- /* Without `suspend`, in every engine: it is Kueue's or the user's, and the same file again must not take it back. */ -}}
{{- $spec := printf "activeDeadlineSeconds: %s\n%s" (include "ocr.seconds" .Values.placement.deadlines.run) (include "ocr.jobSpec" $pod) -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "ocr.objectName" (dict "root" . "spec" $spec) }}
  labels:
    {{- include "ocr.runLabels" . | nindent 4 }}
    {{- include "ocr.queueLabels" . | trim | nindent 4 }}
  annotations:
    {{- include "ocr.kept" . | nindent 4 }}
spec:
  {{- $spec | nindent 2 }}
{{- end -}}

{{- define "ocr.queueLabels" -}}
{{- with .Values.placement.queue }}
kueue.x-k8s.io/queue-name: {{ . | quote }}
{{- end }}
{{- if and .Values.placement.queue .Values.placement.priority }}
kueue.x-k8s.io/priority-class: {{ .Values.placement.priority | quote }}
{{- end }}
{{- end -}}
