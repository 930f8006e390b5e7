{{/* engine: trainjob. A TrainJob of Kubeflow Trainer: it says all that it may of the one pod template, and ClusterTrainingRuntime ocrfleet-paddle has the rest. */}}

{{- define "ocr.engine.trainjob" -}}
{{- include "ocr.refuseTrainJob" . -}}
{{- $spec := include "ocr.trainJobSpec" . -}}
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata:
  name: {{ include "ocr.objectName" (dict "root" . "spec" $spec) }}
  labels:
    {{- include "ocr.runLabels" . | nindent 4 }}
    {{- include "ocr.queueLabels" . | trim | nindent 4 }}
  annotations:
    {{- /* A list that is written whole would take the patch of Kueue away. */}}
    {{- include "ocr.kept" . | replace "Prune=false" "Prune=false,ServerSideApply=true" | nindent 4 }}
spec:
  {{- $spec | nindent 2 }}
{{- end -}}

{{- define "ocr.trainJobSpec" -}}
{{- /* JobSet's names: `node` is the replicated job of the runtime, and of that there is one. */ -}}
{{- $pod := include "ocr.podTemplate" (dict "root" . "container" "node" "rankLabel" "batch.kubernetes.io/job-completion-index" "objectLabel" "jobset.sigs.k8s.io/jobset-name" "hosts" "$(OCRFLEET_OBJECT)-node-0-*.$(OCRFLEET_OBJECT)") | fromYaml -}}
{{- $container := first $pod.spec.containers -}}
{{- /* All that a patch may carry (PodSpecPatch and ContainerPatch of Trainer 2.3). Of a container named `node`, its environment, image and resources go by `trainer`. */ -}}
{{- $patch := pick $pod.spec "affinity" "imagePullSecrets" "nodeSelector" "securityContext" "serviceAccountName" "terminationGracePeriodSeconds" "tolerations" "volumes" -}}
{{- $_ := set $patch "containers" (list (pick $container "name" "securityContext" "volumeMounts")) -}}
runtimeRef: {apiGroup: trainer.kubeflow.org, kind: ClusterTrainingRuntime, name: ocrfleet-paddle}
activeDeadlineSeconds: {{ include "ocr.seconds" .Values.placement.deadlines.run }}
trainer:
  numNodes: {{ .Values.placement.nodes }}
  image: {{ $container.image | quote }}
  command: {{ toRawJson $container.command }}
  env:
    {{- toYaml $container.env | nindent 4 }}
  {{- with $container.resources }}
  resourcesPerNode:
    {{- toYaml . | nindent 4 }}
  {{- end }}
runtimePatches:
  - manager: ocrfleet.io/chart
    trainingRuntimeSpec:
      template:
        spec:
          replicatedJobs:
            - name: node
              template:
                spec:
                  template:
                    metadata:
                      {{- toYaml $pod.metadata | nindent 22 }}
                    spec:
                      {{- toYaml $patch | nindent 22 }}
{{- end -}}

{{- /* What neither a TrainJob can say nor the runtime, since it differs between runs. */ -}}
{{- define "ocr.refuseTrainJob" -}}
{{- $chart := .Values.chart -}}
{{- $instead := "choose another placement.engine, such as jobset" -}}
{{- if ne $chart.imagePullPolicy "IfNotPresent" -}}
{{- fail (printf "chart.imagePullPolicy is %s, but a TrainJob cannot set it and its runtime has IfNotPresent: remove it, or %s." $chart.imagePullPolicy $instead) -}}
{{- end -}}
{{- if $chart.serviceAccount.automountToken -}}
{{- fail (printf "chart.serviceAccount.automountToken is true, but a TrainJob cannot set it and its runtime mounts no token: remove it, or %s." $instead) -}}
{{- end -}}
{{- if and .Values.placement.priority (not .Values.placement.queue) -}}
{{- fail (printf "placement.priority is %s, but a TrainJob cannot set the priority of its pods: also set placement.queue, so that it is the priority in the queue, or %s." .Values.placement.priority $instead) -}}
{{- end -}}
{{- range $chart.extraEnv -}}
{{- $sources := .valueFrom | default dict -}}
{{- range $source := keys (omit $sources "configMapKeyRef" "fieldRef" "resourceFieldRef" "secretKeyRef") -}}
{{- fail (printf "chart.extraEnv has a valueFrom.%s, which Kubeflow Trainer ignores: use a ConfigMap, a Secret or a field, or %s." $source $instead) -}}
{{- end -}}
{{- end -}}
{{- $mounted := list "authorities" "cache" "credentials" "run" "shared-memory" "tmp" "work" -}}
{{- range $chart.extraVolumeMounts -}}
{{- if has .name $mounted -}}
{{- fail (printf "chart.extraVolumeMounts mounts %s a second time, but a TrainJob can mount a volume only once: use a separate volume, or %s." .name $instead) -}}
{{- end -}}
{{- $mounted = append $mounted .name -}}
{{- end -}}
{{- end -}}
