{{/* engine: paddlejob. A PaddleJob of Kubeflow's training operator, version 1; for clusters that have it and nothing newer. */}}

{{- define "ocr.engine.paddlejob" -}}
{{- $spec := include "ocr.paddleJobSpec" . -}}
apiVersion: kubeflow.org/v1
kind: PaddleJob
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

{{- define "ocr.paddleJobSpec" -}}
{{- /* Each worker has a Service of its own, of the pod's name; it is found once its container runs, since nothing asks whether it is ready. */ -}}
{{- $pod := include "ocr.podTemplate" (dict "root" . "container" "paddle" "rankLabel" "training.kubeflow.org/replica-index" "objectLabel" "training.kubeflow.org/job-name" "hosts" "$(OCRFLEET_OBJECT)-worker-*" "retryCode" 203) | fromYaml -}}
{{- /* A sidecar of Istio would keep the pod from its end; Kubeflow's own namespaces have one in every pod. */ -}}
{{- $labels := merge (dict) $pod.metadata.labels (dict "sidecar.istio.io/inject" "false") -}}
runPolicy:
  {{- /* A node that failed for good ends the others, which would else wait for it, and keeps its own pod. */}}
  cleanPodPolicy: Running
  activeDeadlineSeconds: {{ include "ocr.seconds" .Values.placement.deadlines.run }}
  {{- /* No backoffLimit: the operator compares it with restarts inside of pods, and ours have none. The gang counts its own attempts. */}}
paddleReplicaSpecs:
  Worker:
    replicas: {{ .Values.placement.nodes }}
    {{- /* From 128 on a pod is made anew, in its place and with its name; below, the whole ends. */}}
    restartPolicy: ExitCode
    template:
      metadata:
        {{- toYaml (set $pod.metadata "labels" $labels) | nindent 8 }}
      spec:
        {{- /* Of the first the operator warns at each pod, and has its own; the second is for names that are not used here. */}}
        {{- /* The operator looks at its deadline only when a pod changes: the kubelet has the same one, and wakes it. */}}
        {{- $deadline := dict "activeDeadlineSeconds" (include "ocr.seconds" .Values.placement.deadlines.run | int64) }}
        {{- toYaml (merge $deadline (omit $pod.spec "restartPolicy" "subdomain")) | nindent 8 }}
{{- end -}}
