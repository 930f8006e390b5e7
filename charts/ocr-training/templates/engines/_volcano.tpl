{{/* engine: volcano. A Job of Volcano 1.11 or newer, whose scheduler starts all nodes or none. */}}

{{- define "ocr.engine.volcano" -}}
{{- include "ocr.refuseVolcano" . -}}
{{- $spec := include "ocr.volcanoSpec" . -}}
apiVersion: batch.volcano.sh/v1alpha1
kind: Job
metadata:
  name: {{ include "ocr.objectName" (dict "root" . "spec" $spec) }}
  labels:
    {{- include "ocr.runLabels" . | nindent 4 }}
  annotations:
    {{- include "ocr.kept" . | nindent 4 }}
spec:
  {{- $spec | nindent 2 }}
{{- end -}}

{{- define "ocr.volcanoSpec" -}}
{{- $placement := .Values.placement -}}
{{- $pod := dict "root" . "rankLabel" "volcano.sh/task-index" "objectLabel" "volcano.sh/job-name" "hosts" (printf "$(OCRFLEET_OBJECT)-node-*.%s" .Values.name) -}}
schedulerName: volcano
minAvailable: {{ $placement.nodes }}
{{- with $placement.queue }}
queue: {{ . | quote }}
{{- end }}
{{- with $placement.priority }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- /* The gang counts its own attempts; this is the fence around them. Wide, since Volcano counts each pod that it preempts. */}}
maxRetry: {{ mul (add (int $placement.retries) 1) (int $placement.nodes) 10 }}
plugins:
  {{- /* For the pods' host names, which are then in the job's own Service: Volcano's is taken away and made again whenever a pod is. Its policy would keep Prometheus out. */}}
  svc: [--disable-network-policy=true]
policies:
  {{- /* The first that fits counts. Terminated is for good; Aborted is what somebody has paused. */}}
  {{- range list 2 40 41 42 43 44 45 46 47 }}
  - {exitCode: {{ . }}, action: TerminateJob}
  {{- end }}
  {{- /* That pod alone; the gang restarts itself. One that is deleted is made anew without a policy. */}}
  - {event: PodFailed, action: RestartPod}
{{- /* No minSuccess: it would count any node, and all but the leader are done before the model is published. */}}
tasks:
  - name: node
    replicas: {{ $placement.nodes }}
    minAvailable: {{ $placement.nodes }}
    template:
      {{- include "ocr.podTemplate" $pod | nindent 6 }}
{{- end -}}

{{- define "ocr.refuseVolcano" -}}
{{- $deadline := .Values.placement.deadlines.run -}}
{{- if ne (include "ocr.seconds" $deadline) "86400" -}}
{{- fail (printf "placement.deadlines.run is %s, but a Job of Volcano has no deadline: remove it and watch the run yourself, or choose another placement.engine, such as job." $deadline) -}}
{{- end -}}
{{- end -}}
