{{- define "otp-service.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes for a release: a Deployment's selector is immutable. */}}
{{- define "otp-service.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "otp-service.labels" -}}
{{ include "otp-service.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "otp-service.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "otp-service.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "otp-service.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The fewest pods that run: what decides whether a disruption budget makes sense. */}}
{{- define "otp-service.minReplicas" -}}
{{- if .Values.autoscaling.enabled -}}
{{- .Values.autoscaling.minReplicas -}}
{{- else -}}
{{- .Values.replicas -}}
{{- end -}}
{{- end -}}

{{/*
What a schema cannot say, because it joins two values. The secrets that the configuration names are looked for with its
comments taken out; a `#` inside a string hides the rest of its line, and the service itself then refuses at start.
*/}}
{{- define "otp-service.validate" -}}
{{- $config := regexReplaceAll "(?m)#.*$" .Values.config "" -}}
{{- range regexFindAll "[\"']env:[^\"'\n]*[\"']" $config -1 -}}
{{- $name := . | trimAll "\"'" | trimPrefix "env:" -}}
{{- if not (hasKey $.Values.secretEnv $name) -}}
{{- fail (printf "config names \"env:%s\", but secretEnv has no %s" $name $name) -}}
{{- end -}}
{{- end -}}
{{- range regexFindAll "[\"']file:/run/secrets/[^\"'\n]*[\"']" $config -1 -}}
{{- $name := . | trimAll "\"'" | trimPrefix "file:/run/secrets/" -}}
{{- if not (hasKey $.Values.secretFiles $name) -}}
{{- fail (printf "config names \"file:/run/secrets/%s\", but secretFiles has no %s" $name $name) -}}
{{- end -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas %v is over autoscaling.maxReplicas %v" .minReplicas .maxReplicas) -}}
{{- end -}}
{{- end -}}
{{- if ge (int .Values.preStopSleepSeconds) (int .Values.terminationGracePeriodSeconds) -}}
{{- fail (printf "preStopSleepSeconds %v leaves nothing of terminationGracePeriodSeconds %v to drain in" .Values.preStopSleepSeconds .Values.terminationGracePeriodSeconds) -}}
{{- end -}}
{{- end -}}
