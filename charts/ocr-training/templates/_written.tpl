{{/* The user's own parts of a pod template, in the words in which Kubernetes writes them back. In kinds that it does not know, other words are a change: the same file again would be one, and Kueue could not start a TrainJob. */}}

{{- /* Variables or mounts: what is empty or off is left out. */ -}}
{{- define "ocr.writtenFields" -}}
{{- $items := deepCopy . -}}
{{- range $each := $items -}}
{{- range $field, $value := $each -}}
{{- if not $value -}}
{{- $_ := unset $each $field -}}
{{- end -}}
{{- end -}}
{{- with dig "valueFrom" "resourceFieldRef" dict $each -}}
{{- $_ := set . "divisor" (include "ocr.amount" (.divisor | default "0")) -}}
{{- end -}}
{{- end -}}
{{- toYaml $items -}}
{{- end -}}

{{- define "ocr.writtenVolumes" -}}
{{- $volumes := deepCopy . -}}
{{- range $volume := $volumes -}}
{{- with dig "emptyDir" "sizeLimit" "" $volume -}}
{{- $_ := set $volume.emptyDir "sizeLimit" (include "ocr.amount" .) -}}
{{- end -}}
{{- with dig "ephemeral" "volumeClaimTemplate" "spec" "resources" "requests" "storage" "" $volume -}}
{{- $_ := set $volume.ephemeral.volumeClaimTemplate.spec.resources.requests "storage" (include "ocr.amount" .) -}}
{{- end -}}
{{- end -}}
{{- toYaml $volumes -}}
{{- end -}}

{{- /* An amount: 0.5 is 500m, 1024Mi is 1Gi. */ -}}
{{- define "ocr.amount" -}}
{{- $text := ternary (printf "%f" (float64 .)) (toString .) (kindIs "float64" .) -}}
{{- /* Most are written so already; what follows would take a tenth of a render for each. */ -}}
{{- if regexMatch "^[1-9][0-9]{0,2}(m|[KMGT]i|[kMGT])?$" (toString .) -}}
{{- . -}}
{{- else if not (regexMatch "^[0-9]{1,15}([.][0-9]{1,3}|[.][0-9]{6})?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$" $text) -}}
{{- /* In a volume of the user's own; Kubernetes is the judge of that. */ -}}
{{- . -}}
{{- else -}}
{{- $suffix := regexFind "[A-Za-z]*$" $text -}}
{{- $parts := trimSuffix $suffix $text | splitList "." -}}
{{- $fraction := index (append $parts "") 1 -}}
{{- $fraction = printf "%s%s" $fraction (repeat (mod (sub 3 (mod (len $fraction) 3)) 3 | int) "0") -}}
{{- /* A zero in front would make it octal. */ -}}
{{- $digits := regexReplaceAll "^0+([0-9])" (printf "%s%s" (first $parts) $fraction) "${1}" | int64 -}}
{{- $binary := index (dict "Ki" 1 "Mi" 2 "Gi" 3 "Ti" 4) $suffix -}}
{{- $decimal := index (dict "m" -3 "" 0 "k" 3 "M" 6 "G" 9 "T" 12) $suffix -}}
{{- $names := dict "-3" "m" "0" "" "3" "k" "6" "M" "9" "G" "12" "T" "15" "P" "18" "E" -}}
{{- $base := 1000 -}}
{{- $step := 3 -}}
{{- $power := sub (int $decimal) (len $fraction) -}}
{{- if $binary -}}
{{- $names = dict "0" "" "1" "Ki" "2" "Mi" "3" "Gi" "4" "Ti" "5" "Pi" "6" "Ei" -}}
{{- $base = 1024 -}}
{{- $step = 1 -}}
{{- $power = $binary -}}
{{- if $fraction -}}
{{- /* Thousandths of 1024 to some power are 125ths of 128 times the power below; what is left is rounded up to a byte. */ -}}
{{- $whole := div $digits 125 -}}
{{- $rest := mod $digits 125 -}}
{{- $digits = mul $whole 128 -}}
{{- $power = sub $binary 1 -}}
{{- if $rest -}}
{{- $unit := index (list 128 131072 134217728 137438953472) (int $power) -}}
{{- $digits = add (mul $whole $unit) (div (add (mul $rest $unit) 124) 125) -}}
{{- $power = 0 -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if lt (int $power) -3 -}}
{{- /* Nothing is less than a thousandth. */ -}}
{{- $digits = div (add $digits 999) 1000 -}}
{{- $power = -3 -}}
{{- end -}}
{{- range until 8 -}}
{{- if and (ne (int64 $digits) 0) (eq (mod $digits $base) 0) (hasKey $names (add $power $step | toString)) -}}
{{- $digits = div $digits $base -}}
{{- $power = add $power $step -}}
{{- end -}}
{{- end -}}
{{- if $digits }}{{ $digits }}{{ get $names (toString $power) }}{{ else }}0{{ end -}}
{{- end -}}
{{- end -}}
