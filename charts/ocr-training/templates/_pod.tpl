{{/* The one pod template: every engine has it, and translates its controller's names into the contract of trainer/contract.py. */}}

{{- /* What the pod is given to do, as run.yaml; JSON is YAML. */ -}}
{{- define "ocr.runFile" -}}
{{- if not (hasKey . "RunFile") -}}
{{- $placement := dict "nodes" .Values.placement.nodes "devicesPerNode" .Values.placement.devicesPerNode "device" (include "ocr.device" .) "image" .Values.placement.image "deadlines" .Values.placement.deadlines "retry" .Values.placement.retry -}}
{{- /* Only where it is off, so that the objects of other job files keep their names. */ -}}
{{- if not .Values.placement.rehearse -}}
{{- $_ := set $placement "rehearse" false -}}
{{- end -}}
{{- $_ := dict "apiVersion" .Values.apiVersion "name" .Values.name "run" (include "ocr.bare" .Values.run | fromJson) "placement" $placement | toRawJson | set . "RunFile" -}}
{{- end -}}
{{- .RunFile -}}
{{- end -}}

{{- /* Takes root, and of the engine: the label that has a pod's rank, the label that has the object's name, the whole pattern of host names, and what exit code 75 becomes if it cannot stay. */ -}}
{{- define "ocr.podTemplate" -}}
{{- $values := .root.Values -}}
{{- $placement := $values.placement -}}
{{- $chart := $values.chart -}}
metadata:
  labels:
    {{- include "ocr.runLabels" .root | nindent 4 }}
    {{- if eq $chart.identity.preset "azure" }}
    azure.workload.identity/use: "true"
    {{- end }}
    {{- with $chart.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    ocrfleet.io/run.yaml: {{ include "ocr.runFile" .root | quote }}
    {{- with $chart.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  restartPolicy: Never
  {{- /* Each node's own name in the job's Service. */}}
  subdomain: {{ $values.name | quote }}
  enableServiceLinks: false
  automountServiceAccountToken: {{ $chart.serviceAccount.automountToken }}
  serviceAccountName: {{ include "ocr.serviceAccount" .root | quote }}
  {{- /* Time for the last checkpoint: the workers have 120 s to save it, the bucket as much again. */}}
  terminationGracePeriodSeconds: 300
  {{- with $placement.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  {{- if and $placement.priority (not $placement.queue) }}
  priorityClassName: {{ $placement.priority | quote }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    {{- range $name := list "runAsUser" "runAsGroup" "fsGroup" }}
    {{- $number := get $chart.securityContext $name }}
    {{- if ne (toString $number) "none" }}
    {{ $name }}: {{ int64 $number }}
    {{- end }}
    {{- end }}
    fsGroupChangePolicy: OnRootMismatch
    {{- with $chart.securityContext.supplementalGroups }}
    supplementalGroups: {{ toRawJson . }}
    {{- end }}
    seccompProfile: {type: RuntimeDefault}
  {{- with $placement.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  tolerations:
    {{- /* A gang waits for its lost node: half a minute, in place of five. */}}
    {{- range list "not-ready" "unreachable" }}
    - {key: node.kubernetes.io/{{ . }}, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
    {{- end }}
    {{- if eq (include "ocr.device" .root) "gpu" }}
    - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
    {{- end }}
    {{- with $placement.tolerations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "ocr.affinity" .root }}
  affinity:
    {{- . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .container | default "trainer" }}
      image: {{ $placement.image | quote }}
      imagePullPolicy: {{ $chart.imagePullPolicy }}
      command: [python, -m, trainer]
      terminationMessagePolicy: FallbackToLogsOnError
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        {{- /* Cards for remote memory need it pinned; only Pod Security `privileged` lets that through. */}}
        capabilities: {drop: [ALL]{{ if $chart.rdma.resource }}, add: [IPC_LOCK]{{ end }}}
      ports:
        - {name: metrics, containerPort: 9400, protocol: TCP}
      env:
        - name: OCRFLEET_OBJECT
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['{{ .objectLabel }}']"}}
        - name: OCRFLEET_NODE_RANK
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['{{ .rankLabel }}']"}}
        - {name: OCRFLEET_CONTRACT, value: {{ .root.Contract | quote }}}
        - {name: OCRFLEET_RUN_ID, value: {{ include "ocr.runId" .root }}}
        - {name: OCRFLEET_NODES, value: {{ $placement.nodes | quote }}}
        - {name: OCRFLEET_DEVICES_PER_NODE, value: {{ $placement.devicesPerNode | quote }}}
        - {name: OCRFLEET_DEVICE, value: {{ include "ocr.device" .root }}}
        - {name: OCRFLEET_HOSTS, value: {{ .hosts | quote }}}
        - {name: OCRFLEET_RETRIES, value: {{ $placement.retries | quote }}}
        {{- with .retryCode }}
        - {name: OCRFLEET_RETRY_CODE, value: {{ . | quote }}}
        {{- end }}
        {{- if ne (include "ocr.seconds" $placement.debug.holdOnFailure) "0" }}
        - {name: OCRFLEET_HOLD_ON_FAILURE, value: {{ include "ocr.seconds" $placement.debug.holdOnFailure | quote }}}
        - {name: OCRFLEET_POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        {{- end }}
        {{- if ne $chart.logFormat "text" }}
        - {name: OCRFLEET_LOG_FORMAT, value: {{ $chart.logFormat }}}
        {{- end }}
        - {name: OCRFLEET_RUN_FILE, value: /etc/ocrfleet/run.yaml}
        - {name: OCRFLEET_WORKDIR, value: /work}
        - {name: OCRFLEET_METRICS_HOST, value: 0.0.0.0}
        - {name: OCRFLEET_METRICS_PORT, value: "9400"}
        {{- with $chart.endpoint.url }}
        - {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
        {{- end }}
        {{- with $chart.endpoint.region }}
        - {name: AWS_REGION, value: {{ . | quote }}}
        {{- end }}
        {{- if ne $chart.endpoint.addressing "auto" }}
        - {name: OCRFLEET_S3_ADDRESSING, value: {{ $chart.endpoint.addressing }}}
        {{- end }}
        {{- if $placement.credentialsSecret }}
        - {name: AWS_SHARED_CREDENTIALS_FILE, value: /etc/ocrfleet-credentials/credentials}
        {{- end }}
        {{- if $chart.caBundle.configMap }}
        - {name: SSL_CERT_FILE, value: /etc/ocrfleet-authorities/{{ $chart.caBundle.key }}}
        - {name: AWS_CA_BUNDLE, value: /etc/ocrfleet-authorities/{{ $chart.caBundle.key }}}
        {{- end }}
        {{- range $name, $value := dict "HTTP_PROXY" $chart.proxy.http "HTTPS_PROXY" $chart.proxy.https "NO_PROXY" (ternary (join "," (concat (list ".svc" ".cluster.local") $chart.proxy.noProxy)) "" (not (empty (compact (concat (list $chart.proxy.http $chart.proxy.https) $chart.proxy.noProxy))))) }}
        {{- if $value }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
        {{- end }}
        {{- with $chart.extraEnv }}
        {{- include "ocr.writtenFields" . | nindent 8 }}
        {{- end }}
      resources:
        {{- include "ocr.resources" .root | nindent 8 }}
      volumeMounts:
        - {name: run, mountPath: /etc/ocrfleet, readOnly: true}
        - {name: work, mountPath: /work}
        - {name: cache, mountPath: /work/data}
        - {name: tmp, mountPath: /tmp}
        - {name: shared-memory, mountPath: /dev/shm}
        {{- if $placement.credentialsSecret }}
        - {name: credentials, mountPath: /etc/ocrfleet-credentials, readOnly: true}
        {{- end }}
        {{- if $chart.caBundle.configMap }}
        - {name: authorities, mountPath: /etc/ocrfleet-authorities, readOnly: true}
        {{- end }}
        {{- with $chart.extraVolumeMounts }}
        {{- include "ocr.writtenFields" . | nindent 8 }}
        {{- end }}
  volumes:
    - name: run
      downwardAPI:
        items:
          - path: run.yaml
            fieldRef: {fieldPath: "metadata.annotations['ocrfleet.io/run.yaml']"}
    - name: work
      emptyDir: {sizeLimit: {{ $placement.storage.scratch | quote }}}
    - name: cache
      {{- include "ocr.cache" .root | nindent 6 }}
    - name: tmp
      emptyDir: {sizeLimit: {{ $chart.tmp | quote }}}
    - name: shared-memory
      emptyDir: {medium: Memory, sizeLimit: {{ $placement.storage.sharedMemory | quote }}}
    {{- with $placement.credentialsSecret }}
    - name: credentials
      secret: {secretName: {{ . | quote }}, defaultMode: 0440}
    {{- end }}
    {{- with $chart.caBundle.configMap }}
    - name: authorities
      configMap: {name: {{ . | quote }}}
    {{- end }}
    {{- with $chart.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "ocr.cache" -}}
{{- $cache := .Values.placement.storage.cache -}}
{{- if $cache.existingClaim -}}
persistentVolumeClaim: {claimName: {{ $cache.existingClaim | quote }}}
{{- else if $cache.ephemeral -}}
ephemeral:
  volumeClaimTemplate:
    spec:
      accessModes: [{{ $cache.accessMode }}]
      {{- with $cache.storageClass }}
      storageClassName: {{ . | quote }}
      {{- end }}
      resources: {requests: {storage: {{ $cache.ephemeral | quote }}}}
{{- else -}}
emptyDir: {sizeLimit: {{ $cache.emptyDir | default "50Gi" | quote }}}
{{- end -}}
{{- end -}}

{{- /* The devices are added to what the job asks for; a GPU is asked for as a limit, as Kubernetes wants it. */ -}}
{{- define "ocr.resources" -}}
{{- $given := deepCopy .Values.placement.resources -}}
{{- $limits := dict -}}
{{- if eq (include "ocr.device" .) "gpu" -}}
{{- $_ := set $limits "nvidia.com/gpu" (int .Values.placement.devicesPerNode) -}}
{{- end -}}
{{- with .Values.chart.rdma -}}
{{- if .resource -}}
{{- $_ := set $limits .resource (int .count) -}}
{{- end -}}
{{- end -}}
{{- $limits = merge (deepCopy ($given.limits | default dict)) $limits -}}
{{- /* Not even an empty one: a controller that writes the object back leaves it out, and each apply would be a change. */ -}}
{{- $asked := dict -}}
{{- range $part, $amounts := dict "requests" ($given.requests | default dict) "limits" $limits -}}
{{- range $resource, $amount := $amounts -}}
{{- $_ := set $amounts $resource (toString $amount) -}}
{{- end -}}
{{- if $amounts -}}
{{- $_ := set $asked $part $amounts -}}
{{- end -}}
{{- end -}}
{{- toYaml $asked -}}
{{- end -}}

{{- define "ocr.affinity" -}}
{{- $affinity := deepCopy .Values.chart.affinity -}}
{{- with .Values.chart.topology -}}
{{- if .key -}}
{{- $near := dict "topologyKey" .key "labelSelector" (dict "matchLabels" (dict "ocrfleet.io/run" (include "ocr.runId" $))) -}}
{{- $kind := ternary "requiredDuringSchedulingIgnoredDuringExecution" "preferredDuringSchedulingIgnoredDuringExecution" .required -}}
{{- $rule := ternary $near (dict "weight" 100 "podAffinityTerm" $near) .required -}}
{{- $pods := $affinity.podAffinity | default dict -}}
{{- $_ := set $affinity "podAffinity" (set $pods $kind (append (get $pods $kind | default list) $rule)) -}}
{{- end -}}
{{- end -}}
{{- with $affinity -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{- define "ocr.serviceAccount" -}}
{{- .Values.placement.serviceAccount | default .Values.chart.serviceAccount.name | default (ternary .Values.name "default" .Values.chart.serviceAccount.create) -}}
{{- end -}}

{{- /* Variables or mounts as Kubernetes writes them back, without what is empty or off. In kinds that it does not know, anything else is a change at each apply, and Kueue could not start a TrainJob. */ -}}
{{- define "ocr.writtenFields" -}}
{{- $items := deepCopy . -}}
{{- range $each := $items -}}
{{- range $field, $value := $each -}}
{{- if not $value -}}
{{- $_ := unset $each $field -}}
{{- end -}}
{{- end -}}
{{- with dig "valueFrom" "resourceFieldRef" dict $each -}}
{{- $_ := set . "divisor" (.divisor | default "0" | toString) -}}
{{- end -}}
{{- end -}}
{{- toYaml $items -}}
{{- end -}}
