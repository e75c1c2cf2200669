"""MLflow's routes as data: family, scope, method and path of everything MLflow 3.4 to 3.18 serves.

Sources: ``mlflow.server.handlers.get_endpoints``, ``mlflow.server`` and its FastAPI routers, ``mlflow.server.auth``.
The tests compare the table with those of the installed MLflow, and with a list of what other versions have.

A skill is registered with the place its files are at, or with the files: MLflow 3.18 writes that place down and never
goes there, neither on its disk nor over the network. Its organization is a segment that begins with ``@``.

A line is ``scope method[,method] path [body]`` below the name of its family. A path without a leading slash stands for
two, below ``/api/`` and below ``/ajax-api/`` (the UI's twin). ``{name}`` is one segment, ``{name:path}`` the rest. GET
includes HEAD. ``body`` is how the body is judged (gateway/inspection.py); without it the body is streamed unread.
"""

from __future__ import annotations

OPTIONAL_FAMILIES = {
    "ai-gateway": "MLflow's AI gateway: it spends the provider keys the server holds",
    "assistant": "MLflow's assistant: it runs tools on the server",
    "jobs": "MLflow's jobs: they run code on the server",
    "scorer-execution": "scorers, evaluations and issue detection run by the server",
    "users": "the users, roles and permissions of MLflow's own authentication",
    "webhooks": "webhooks: the server calls addresses its users name",
}
"""Families that are off unless GATEWAY_ENABLED_FAMILIES names them, and why."""

TABLE = """
[artifacts]
read   GET         2.0/mlflow-artifacts/artifacts                          json
read   GET         2.0/mlflow-artifacts/artifacts/{artifact_path:path}
write  PUT,DELETE  2.0/mlflow-artifacts/artifacts/{artifact_path:path}
write  POST        2.0/mlflow-artifacts/mpu/create/{artifact_path:path}                  multipart
write  POST        2.0/mlflow-artifacts/mpu/complete/{artifact_path:path}                multipart-end
write  POST        2.0/mlflow-artifacts/mpu/abort/{artifact_path:path}                   multipart
read   GET         2.0/mlflow-artifacts/presigned/{artifact_path:path}
read   GET         2.0/mlflow/artifacts/list                               json
read   POST        2.0/mlflow/artifacts/presigned-download-url             json
write  POST        2.0/mlflow/artifacts/presigned-upload-url               json
read   GET         2.0/mlflow/logged-models/{model_id}/artifacts/directories  json
read   GET         2.0/mlflow/logged-models/{model_id}/artifacts/files
read   GET         2.0/mlflow/get-trace-artifact
read   GET         3.0/mlflow/get-trace-artifact
write  POST        2.0/mlflow/upload-artifact
read   GET         /get-artifact
read   GET         /model-versions/get-artifact

[experiments]
read   GET         2.0/mlflow/experiments/get
read   GET         2.0/mlflow/experiments/get-by-name
read   GET,POST    2.0/mlflow/experiments/search
read   POST        2.0/mlflow/experiments/search-datasets
write  POST        2.0/mlflow/experiments/create                           experiment
write  POST        2.0/mlflow/experiments/update
write  POST        2.0/mlflow/experiments/delete
write  POST        2.0/mlflow/experiments/restore
write  POST        2.0/mlflow/experiments/set-experiment-tag               experiment
write  POST        2.0/mlflow/experiments/delete-experiment-tag

[runs]
read   GET         2.0/mlflow/runs/get
read   POST        2.0/mlflow/runs/search
read   GET         2.0/mlflow/metrics/get-history
read   GET         2.0/mlflow/metrics/get-history-bulk
read   GET         2.0/mlflow/metrics/get-history-bulk-interval
write  POST        2.0/mlflow/runs/create
write  POST        2.0/mlflow/runs/create-promptlab-run
write  POST        2.0/mlflow/runs/update
write  POST        2.0/mlflow/runs/delete
write  POST        2.0/mlflow/runs/restore
write  POST        2.0/mlflow/runs/log-metric
write  POST        2.0/mlflow/runs/log-parameter
write  POST        2.0/mlflow/runs/log-batch
write  POST        2.0/mlflow/runs/log-inputs
write  POST        2.0/mlflow/runs/log-model                               json-large
write  POST        2.0/mlflow/runs/outputs
write  POST        2.0/mlflow/runs/set-tag
write  POST        2.0/mlflow/runs/delete-tag

[logged-models]
read   POST        2.0/mlflow/logged-models/search
read   GET         2.0/mlflow/logged-models/{model_id}
write  POST        2.0/mlflow/logged-models
write  PATCH,DELETE  2.0/mlflow/logged-models/{model_id}
write  POST        2.0/mlflow/logged-models/{model_id}/params
write  PATCH       2.0/mlflow/logged-models/{model_id}/tags
write  DELETE      2.0/mlflow/logged-models/{model_id}/tags/{tag_key}

[registry]
read   GET         2.0/mlflow/registered-models/get
read   GET         2.0/mlflow/registered-models/search
read   GET,POST    2.0/mlflow/registered-models/get-latest-versions
read   GET         2.0/mlflow/registered-models/alias
write  POST        2.0/mlflow/registered-models/create
write  POST        2.0/mlflow/registered-models/rename
write  PATCH       2.0/mlflow/registered-models/update
write  DELETE      2.0/mlflow/registered-models/delete
write  POST        2.0/mlflow/registered-models/set-tag
write  DELETE      2.0/mlflow/registered-models/delete-tag
write  POST,DELETE  2.0/mlflow/registered-models/alias
read   GET         2.0/mlflow/model-versions/get
read   GET         2.0/mlflow/model-versions/search
read   GET         2.0/mlflow/model-versions/get-download-uri
write  POST        2.0/mlflow/model-versions/create                        json-large
write  PATCH       2.0/mlflow/model-versions/update
write  DELETE      2.0/mlflow/model-versions/delete
write  POST        2.0/mlflow/model-versions/transition-stage
write  POST        2.0/mlflow/model-versions/set-tag
write  DELETE      2.0/mlflow/model-versions/delete-tag

[traces]
read   GET         2.0/mlflow/traces
read   GET         2.0/mlflow/traces/{request_id}/info
read   GET         2.0/mlflow/unified-traces
read   GET         2.0/mlflow/get-online-trace-details
write  POST        2.0/mlflow/traces                                       trace
write  PATCH       2.0/mlflow/traces/{request_id}                          trace-tags
write  PATCH       2.0/mlflow/traces/{request_id}/tags                     trace-tags
write  DELETE      2.0/mlflow/traces/{request_id}/tags
write  POST        2.0/mlflow/traces/delete-traces
write  POST        2.0/mlflow/traces/link-prompts
write  POST        2.0/mlflow/traces/link-to-run
read   GET         3.0/mlflow/traces/get
read   GET         3.0/mlflow/traces/batchGet
read   GET         3.0/mlflow/traces/{trace_id}
read   POST        3.0/mlflow/traces/batchGetInfos
read   POST        3.0/mlflow/traces/calculate-filter-correlation
read   POST        3.0/mlflow/traces/metrics
read   POST        3.0/mlflow/traces/search
write  POST        3.0/mlflow/traces                                       trace
write  POST        3.0/mlflow/traces/delete-traces
write  PATCH       3.0/mlflow/traces/{trace_id}/tags                       trace-tags
write  DELETE      3.0/mlflow/traces/{trace_id}/tags
write  POST        3.0/mlflow/traces/{trace_id}/assessments
read   GET         3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}
write  PATCH,DELETE  3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}
write  POST        /v1/traces                                              otlp

[datasets]
read   GET,POST    3.0/mlflow/datasets/search
read   GET         3.0/mlflow/datasets/{dataset_id}
read   GET         3.0/mlflow/datasets/{dataset_id}/experiment-ids
read   GET         3.0/mlflow/datasets/{dataset_id}/records
write  POST        3.0/mlflow/datasets/create
write  DELETE      3.0/mlflow/datasets/{dataset_id}
write  POST        3.0/mlflow/datasets/{dataset_id}/add-experiments
write  POST        3.0/mlflow/datasets/{dataset_id}/remove-experiments
write  POST,DELETE  3.0/mlflow/datasets/{dataset_id}/records
write  PATCH       3.0/mlflow/datasets/{dataset_id}/tags
write  DELETE      3.0/mlflow/datasets/{dataset_id}/tags/{key}

[scorers]
read   GET         3.0/mlflow/scorers/get
read   GET         3.0/mlflow/scorers/list
read   GET         3.0/mlflow/scorers/versions
read   GET         3.0/mlflow/scorers/online-configs
write  POST        3.0/mlflow/scorers/register
write  DELETE      3.0/mlflow/scorers/delete

[reviews]
read   POST        3.0/mlflow/issues/search
read   GET         3.0/mlflow/issues/{issue_id}
write  POST        3.0/mlflow/issues
write  PATCH       3.0/mlflow/issues/{issue_id}
read   GET         3.0/mlflow/label-schemas/get
read   GET         3.0/mlflow/label-schemas/get-by-name
read   GET         3.0/mlflow/label-schemas/list
write  POST        3.0/mlflow/label-schemas/create
write  PATCH       3.0/mlflow/label-schemas/update
write  DELETE      3.0/mlflow/label-schemas/delete
read   GET         3.0/mlflow/review-queues/get
read   GET         3.0/mlflow/review-queues/get-by-name
read   GET         3.0/mlflow/review-queues/list
read   GET         3.0/mlflow/review-queues/items/list
write  POST        3.0/mlflow/review-queues/create
write  POST        3.0/mlflow/review-queues/update
write  POST        3.0/mlflow/review-queues/delete
write  POST        3.0/mlflow/review-queues/get-or-create-user
write  POST        3.0/mlflow/review-queues/items/add
write  POST        3.0/mlflow/review-queues/items/remove
write  POST        3.0/mlflow/review-queues/items/set-status

[mcp-servers]
read   GET         3.0/mlflow/mcp-servers
read   GET         3.0/mlflow/mcp-servers/{name:path}
write  POST        3.0/mlflow/mcp-servers
write  POST,PATCH,DELETE  3.0/mlflow/mcp-servers/{name:path}

[skills]
read   GET         3.0/mlflow/skills
read   GET         3.0/mlflow/skills/{name}
read   GET         3.0/mlflow/skills/{name}/versions
read   GET         3.0/mlflow/skills/{name}/versions/{version}
read   GET         3.0/mlflow/skills/{name}/aliases/{alias}
read   GET         3.0/mlflow/skills/{organization}/{name}
read   GET         3.0/mlflow/skills/{organization}/{name}/versions
read   GET         3.0/mlflow/skills/{organization}/{name}/versions/{version}
read   GET         3.0/mlflow/skills/{organization}/{name}/aliases/{alias}
write  POST        3.0/mlflow/skills
write  POST        3.0/mlflow/skills/bulk-register
write  PATCH,DELETE  3.0/mlflow/skills/{name}
write  POST        3.0/mlflow/skills/{name}/versions
write  PATCH,DELETE  3.0/mlflow/skills/{name}/versions/{version}
write  POST        3.0/mlflow/skills/{name}/versions/{version}/tags
write  DELETE      3.0/mlflow/skills/{name}/versions/{version}/tags/{key:path}
write  POST        3.0/mlflow/skills/{name}/tags
write  DELETE      3.0/mlflow/skills/{name}/tags/{key:path}
write  POST        3.0/mlflow/skills/{name}/aliases
write  DELETE      3.0/mlflow/skills/{name}/aliases/{alias}
write  PATCH,DELETE  3.0/mlflow/skills/{organization}/{name}
write  POST        3.0/mlflow/skills/{organization}/{name}/versions
write  PATCH,DELETE  3.0/mlflow/skills/{organization}/{name}/versions/{version}
write  POST        3.0/mlflow/skills/{organization}/{name}/versions/{version}/tags
write  DELETE      3.0/mlflow/skills/{organization}/{name}/versions/{version}/tags/{key:path}
write  POST        3.0/mlflow/skills/{organization}/{name}/tags
write  DELETE      3.0/mlflow/skills/{organization}/{name}/tags/{key:path}
write  POST        3.0/mlflow/skills/{organization}/{name}/aliases
write  DELETE      3.0/mlflow/skills/{organization}/{name}/aliases/{alias}

[workspaces]
read   GET         3.0/mlflow/workspaces
read   GET         3.0/mlflow/workspaces/{workspace_name}
admin  POST        3.0/mlflow/workspaces                                   json
admin  PATCH       3.0/mlflow/workspaces/{workspace_name}                  json
admin  DELETE      3.0/mlflow/workspaces/{workspace_name}

[service]
read   GET         3.0/mlflow/server-info
read   GET         /server-info
read   GET         /health
read   GET         /version

[ui]
read   GET         /
read   GET         /static-files/{path:path}
read   GET         /build/{path:path}
read   GET,POST    /graphql                                                graphql
read   GET         3.0/mlflow/ui-telemetry
write  POST        3.0/mlflow/ui-telemetry
write  POST        3.0/mlflow/demo/generate
write  POST        3.0/mlflow/demo/delete

[jobs]
read   GET         3.0/jobs/{job_id}
write  POST        3.0/jobs
write  POST        3.0/jobs/
read   POST        3.0/jobs/search
write  PATCH       3.0/jobs/cancel/{job_id}
read   GET         3.0/mlflow/jobs/{job_id}
write  PATCH       3.0/mlflow/jobs/cancel/{job_id}
read   GET,POST    3.0/mlflow/prompt-optimization/jobs/search
read   GET         3.0/mlflow/prompt-optimization/jobs/{job_id}
write  POST        3.0/mlflow/prompt-optimization/jobs
write  DELETE      3.0/mlflow/prompt-optimization/jobs/{job_id}
write  POST        3.0/mlflow/prompt-optimization/jobs/{job_id}/cancel

[scorer-execution]
write  POST        3.0/mlflow/scorer/invoke
write  POST        3.0/mlflow/issues/invoke
write  POST        3.0/mlflow/issues/schedule/state
write  POST        3.0/mlflow/genai/evaluate/invoke
write  PUT         3.0/mlflow/scorers/online-config

[webhooks]
admin  GET,POST    2.0/mlflow/webhooks
admin  GET,PATCH,DELETE  2.0/mlflow/webhooks/{webhook_id}
admin  POST        2.0/mlflow/webhooks/{webhook_id}/test

[ai-gateway]
admin  GET,POST,PATCH,DELETE  3.0/mlflow/gateway/{config:path}
write  GET,POST    2.0/mlflow/gateway-proxy
read   GET         /gateway/mlflow/v1/models
write  POST        /gateway/{endpoint:path}

[assistant]
admin  GET,POST,PUT,PATCH,DELETE  3.0/mlflow/assistant/{call:path}

[users]
admin  GET         /signup
admin  GET,POST,PATCH,DELETE  2.0/mlflow/users/{call:path}
admin  GET,POST,PATCH,DELETE  3.0/mlflow/users/{call:path}
admin  GET,POST,PATCH,DELETE  3.0/mlflow/roles/{call:path}
admin  GET,POST,PATCH,DELETE  2.0/mlflow/experiments/permissions/{call}
admin  GET,POST,PATCH,DELETE  2.0/mlflow/registered-models/permissions/{call}
admin  GET,POST,PATCH,DELETE  3.0/mlflow/scorers/permissions/{call}
admin  GET,POST,PATCH,DELETE  3.0/mlflow/gateway/endpoints/permissions/{call}
admin  GET,POST,PATCH,DELETE  3.0/mlflow/gateway/model-definitions/permissions/{call}
admin  GET,POST,PATCH,DELETE  3.0/mlflow/gateway/secrets/permissions/{call}
admin  GET,POST,PATCH,DELETE  3.0/mlflow/workspaces/{workspace_name}/permissions
admin  GET         3.0/mlflow/workspace-permissions
"""
