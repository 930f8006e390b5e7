{{/* What the platform's part, `chart`, may not say: jobs/jobfile/platform.py has the same sentences. */}}

{{- define "ocr.refuseChart" -}}
{{- $chart := .Values.chart -}}
{{- $identity := $chart.identity -}}
{{- if and .Values.placement.credentialsSecret (ne $identity.preset "none") -}}
{{- fail "the job has placement.credentialsSecret and chart.identity: the secret would hide the identity; choose one" -}}
{{- end -}}
{{- range $preset, $field := dict "aws-irsa" "role" "azure" "clientId" -}}
{{- if and (eq $identity.preset $preset) (not (index $identity $field)) -}}
{{- fail (printf "chart.identity.%s is missing: the preset %s needs it" $field $preset) -}}
{{- end -}}
{{- end -}}
{{- range $field, $preset := dict "role" "aws-irsa" "account" "gke" "clientId" "azure" -}}
{{- if and (index $identity $field) (ne $identity.preset $preset) -}}
{{- fail (printf "chart.identity.%s belongs to the preset %s, but the preset is %s" $field $preset $identity.preset) -}}
{{- end -}}
{{- end -}}
{{- range $chart.networkPolicy.s3.cidrs -}}
{{- if include "ocr.beyond" . -}}
{{- fail (printf "chart.networkPolicy.s3.cidrs has '%s', with bits set beyond its prefix: write the first address of the range" .) -}}
{{- end -}}
{{- end -}}
{{- if hasPrefix "requests." ($chart.rdma.resource | default "") -}}
{{- fail (printf "chart.rdma.resource is %s: write the name of the device, without `requests.`" $chart.rdma.resource) -}}
{{- end -}}
{{- if eq ($chart.rdma.resource | default "") "nvidia.com/gpu" -}}
{{- fail "chart.rdma.resource is nvidia.com/gpu: name the network cards; GPUs are placement.devicesPerNode" -}}
{{- end -}}
{{- if and $chart.topology.required (not $chart.topology.key) -}}
{{- fail "chart.topology.required needs chart.topology.key, which is not set" -}}
{{- end -}}
{{- if and $chart.serviceAccount.create (eq ($chart.serviceAccount.name | default "") "default") -}}
{{- fail "chart.serviceAccount.name is default, which every namespace has already: also set `create: false`" -}}
{{- end -}}
{{- include "ocr.refuseOwn" $chart -}}
{{- include "ocr.refuseVariables" $chart -}}
{{- $volumes := list "run" "work" "cache" "tmp" "shared-memory" -}}
{{- $mounts := list "/etc/ocrfleet" "/etc/ocrfleet-credentials" "/etc/ocrfleet-authorities" "/work" "/work/data" "/tmp" "/dev/shm" -}}
{{- include "ocr.refuseTwice" (dict "where" "chart.extraVolumes" "field" "name" "items" $chart.extraVolumes "own" (concat $volumes (list "credentials" "authorities"))) -}}
{{- include "ocr.refuseTwice" (dict "where" "chart.extraVolumeMounts" "field" "mountPath" "items" $chart.extraVolumeMounts "own" $mounts) -}}
{{- range $chart.extraVolumes -}}
{{- $volumes = append $volumes (toString .name) -}}
{{- end -}}
{{- range $chart.extraVolumeMounts -}}
{{- if not (has (toString .name) $volumes) -}}
{{- fail (printf "chart.extraVolumeMounts has the volume %v, which is not in chart.extraVolumes: add it there" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Labels and annotations that have a meaning already. */ -}}
{{- define "ocr.refuseOwn" -}}
{{- $labels := list "app.kubernetes.io/name" "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by" -}}
{{- $kept := list "helm.sh/resource-policy" "argocd.argoproj.io/sync-options" "argocd.argoproj.io/compare-options" "kustomize.toolkit.fluxcd.io/prune" -}}
{{- $identities := list "eks.amazonaws.com/role-arn" "iam.gke.io/gcp-service-account" "azure.workload.identity/client-id" -}}
{{- $places := list
  (list "chart.podLabels" .podLabels (concat $labels (list "job-name" "controller-uid" "azure.workload.identity/use")))
  (list "chart.podAnnotations" .podAnnotations list)
  (list "chart.podMonitor.labels" .podMonitor.labels $labels)
  (list "chart.serviceAccount.annotations" .serviceAccount.annotations (concat $kept $identities)) -}}
{{- range $places -}}
{{- $where := first . -}}
{{- $own := last . -}}
{{- range $name := index . 1 | keys | sortAlpha -}}
{{- if or (has $name $own) (regexMatch "^(ocrfleet[.]io|batch[.]kubernetes[.]io|jobset[.]sigs[.]k8s[.]io|training[.]kubeflow[.]org|volcano[.]sh)/" $name) -}}
{{- fail (printf "%s has %s: only ocrfleet or the engine sets it" $where $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $bytes := 0 -}}
{{- range $name, $value := .podAnnotations -}}
{{- $bytes = add $bytes (len $name) (len $value) -}}
{{- end -}}
{{- if gt $bytes 32768 -}}
{{- fail "chart.podAnnotations are larger than 32 KiB: a pod with run.yaml has no room for more" -}}
{{- end -}}
{{- end -}}

{{- define "ocr.refuseVariables" -}}
{{- $fields := dict "AWS_ENDPOINT_URL" "chart.endpoint.url" "AWS_REGION" "chart.endpoint.region" "AWS_SHARED_CREDENTIALS_FILE" "placement.credentialsSecret" "AWS_CA_BUNDLE" "chart.caBundle" "SSL_CERT_FILE" "chart.caBundle" "HTTP_PROXY" "chart.proxy.http" "HTTPS_PROXY" "chart.proxy.https" "NO_PROXY" "chart.proxy.noProxy" -}}
{{- range .extraEnv -}}
{{- if or (hasPrefix "OCRFLEET_" .name) (hasPrefix "PADDLE_" .name) -}}
{{- fail (printf "chart.extraEnv has %s: only ocrfleet sets such variables" .name) -}}
{{- end -}}
{{- if has .name (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN") -}}
{{- fail (printf "chart.extraEnv has %s: put keys into a Secret, and name it in placement.credentialsSecret" .name) -}}
{{- end -}}
{{- if hasKey $fields .name -}}
{{- fail (printf "chart.extraEnv has %s: it is set from %s" .name (get $fields .name)) -}}
{{- end -}}
{{- if and .value (kindIs "map" .valueFrom) -}}
{{- fail (printf "chart.extraEnv has %s with value and valueFrom: choose one" .name) -}}
{{- end -}}
{{- end -}}
{{- include "ocr.refuseTwice" (dict "where" "chart.extraEnv" "field" "name" "items" .extraEnv "own" list) -}}
{{- end -}}

{{- /* Takes where the items are, the field that tells them apart, and what the pod has of its own. */ -}}
{{- define "ocr.refuseTwice" -}}
{{- $seen := list -}}
{{- range .items -}}
{{- with index . $.field -}}
{{- $name := regexReplaceAll "/+$" (toString .) "" -}}
{{- if has $name $.own -}}
{{- fail (printf "%s has %s, which the pod has already: choose another" $.where $name) -}}
{{- end -}}
{{- if has $name $seen -}}
{{- fail (printf "%s has %s twice: remove one" $.where $name) -}}
{{- end -}}
{{- $seen = append $seen $name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Text if a range of addresses has bits beyond its prefix, which Kubernetes refuses. */ -}}
{{- define "ocr.beyond" -}}
{{- $six := contains ":" . -}}
{{- $width := ternary 16 8 $six -}}
{{- $powers := list 1 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192 16384 32768 65536 -}}
{{- $length := splitList "/" . | last | int -}}
{{- range $place, $part := splitList (ternary ":" "." $six) (splitList "/" . | first | trimSuffix "::") -}}
{{- $spare := sub $width (max 0 (min $width (sub $length (mul $place $width)))) -}}
{{- if mod (int64 (ternary (printf "0x%s" $part) $part $six)) (index $powers $spare) -}}
{{- $part -}}
{{- end -}}
{{- end -}}
{{- end -}}
