{{- define "art58-receiver.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Cut at 52: Kubernetes names a StatefulSet's revisions NAME-HASH in a label of at most 63 characters. */}}
{{- define "art58-receiver.fullname" -}}
{{- $name := include "art58-receiver.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "art58-receiver.selectorLabels" -}}
app.kubernetes.io/name: {{ include "art58-receiver.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "art58-receiver.labels" -}}
{{ include "art58-receiver.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "art58-receiver.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "art58-receiver.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "art58-receiver.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "art58-receiver.serviceUrl" -}}
http://{{ include "art58-receiver.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}
{{- end }}

{{- define "art58-receiver.externalUrl" -}}
{{- if .Values.ingress.enabled -}}
http{{ if .Values.ingress.tls }}s{{ end }}://{{ (first .Values.ingress.hosts).host }}
{{- else -}}
{{ include "art58-receiver.serviceUrl" . }}
{{- end }}
{{- end }}

{{/* Several pods share one PostgreSQL, or they would each make a ticket. */}}
{{- define "art58-receiver.checkReplicas" -}}
{{- if gt (int .Values.replicas) 1 }}
{{- if not (hasPrefix "postgresql://" (toString .Values.config.database_url)) }}
{{- fail "replicas: more than 1 needs PostgreSQL. Write config.database_url: postgresql://USER@HOST/NAME, or replicas: 1" }}
{{- end }}
{{- if .Values.persistence.existingClaim }}
{{- fail "persistence.existingClaim: it is of one pod, and replicas asks for more. Leave it out: each pod gets a claim of its own" }}
{{- end }}
{{- end }}
{{- end }}

{{/* config.yaml: the values' config with what only the chart knows. */}}
{{- define "art58-receiver.config" -}}
{{- $fixed := dict "listen" "0.0.0.0:9158" "data_dir" "/var/lib/art58" }}
{{- $defaults := dict "external_url" (include "art58-receiver.externalUrl" .) "rulebooks" (keys .Values.rulebooks | sortAlpha) }}
{{- merge $fixed .Values.config $defaults | toYaml }}
{{- end }}
