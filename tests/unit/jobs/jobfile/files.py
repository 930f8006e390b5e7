"""Job files for tests: one with only what is needed, and one with every part."""

MINIMAL = """
apiVersion: ocrfleet.io/v1
name: receipts
run:
  task: det
  recipe: det-db-mobile
  data: {train: "file:///data/receipts"}
  output: s3://models/receipts
"""


WHOLE = """
apiVersion: ocrfleet.io/v1
name: receipts-rec
run:
  task: rec
  recipe: rec-pp-ocrv3
  overrides: {Global.epoch_num: 20, Optimizer.lr.learning_rate: 1e-4}
  data: {train: s3://ocr-data/receipts/, eval: , split: 6:2:2, dictionary: auto, digest: }
  train: {epochs: 20, batchSizePerDevice: 64, scaleLearningRate: linear, evaluateEvery: 1ep}
  checkpoint: {every: 5m, keep: 3}
  gate: {metric: acc, minimum: 0.90, notWorseThan: production, tolerance: 0.002}
  output: s3://ocr-models/receipts-rec/
  publish: {formats: [paddle], weights: false, promote: candidate}
placement:
  engine: jobset
  nodes: 2
  devicesPerNode: 4
  device: gpu
  image: registry.example/ocrfleet:0.1
  resources: {requests: {cpu: 4, memory: 16Gi}}
  queue: team-ocr
  priority: high
  retries: 3
  retry: 1
  storage: {cache: {emptyDir: 50Gi}, scratch: 20Gi, sharedMemory: 8Gi}
  serviceAccount: trainer
  deadlines: {rendezvous: 30m, stall: 15m, run: 24h}
  debug: {holdOnFailure: 10m}
notify: {webhookSecret: hook}
schedule: {cron: "0 3 * * 0", timeZone: Asia/Shanghai, skipIfUnchanged: true, suspendAfterFailures: 3}
"""
