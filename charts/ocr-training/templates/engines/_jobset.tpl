{{/* engine: jobset. One replicated job, whose Job is that of engine `job`; for clusters that have JobSet anyway. */}}

{{- define "ocr.engine.jobset" -}}
{{- $pod := dict "root" . "rankLabel" "batch.kubernetes.io/job-completion-index" "objectLabel" "batch.kubernetes.io/job-name" "hosts" (printf "$(OCRFLEET_OBJECT)-*.%s" .Values.name) -}}
{{- $spec := include "ocr.jobSetSpec" (dict "root" . "pod" $pod) -}}
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
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

{{- define "ocr.jobSetSpec" -}}
{{- /* The pods' names are in the job's own Service, which outlives this object. */ -}}
network: {enableDNSHostnames: false}
{{- /* The gang restarts itself; JobSet would start all pods anew. */}}
failurePolicy: {maxRestarts: 0}
replicatedJobs:
  - name: node
    replicas: 1
    template:
      spec:
        activeDeadlineSeconds: {{ include "ocr.seconds" .root.Values.placement.deadlines.run }}
        {{- include "ocr.jobSpec" .pod | nindent 8 }}
{{- end -}}
