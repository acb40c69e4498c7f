// RetainWise contracts 1.0.0. Written by `make schemas`.

/** The state of one dependency, and the problem if it is not ok. */
export interface Check {
  name: string;
  state: HealthState;
  detail: string;
}

/** The size and the digest of a file. */
export interface ContentDigest {
  /** Unit: bytes. */
  size_bytes: number;
  sha256: string;
}

/** How `scores.csv` and `rejected.csv` are written: as the spreadsheet writes that the upload came from. */
export interface CsvFormat {
  encoding?: "utf-8-sig";
  delimiter: string;
  decimal: "." | ",";
}

/** One of the customers most likely to leave. */
export interface CustomerAtRisk {
  /** The row as a spreadsheet shows the upload. */
  row_number: number;
  customer_id: string;
  /** Unit: probability from 0 to 1. */
  churn_probability: number;
  risk_level: RiskLevel;
  /** The share of the model's weight that rests on known values. Unit: share from 0 to 1. */
  inputs_known: number;
  reasons: readonly Reason[];
}

/** The data quality report: a grade, the reasons for it in sentences, and the figures by feature. */
export interface DataQuality {
  grade: QualityGrade;
  sentences: readonly string[];
  features: readonly FeatureQuality[];
}

/** A feature's weight over the whole file, in log-odds. */
export interface Driver {
  feature: string;
  label: string;
  /** Unit: log-odds. */
  mean_absolute_effect: number;
  /** Unit: log-odds. */
  mean_effect: number;
}

/** The kinds of events. After `completed`, `failed`, `cancelled` or `expired` comes no other. */
export type EventType = "queued" | "running" | "progress" | "retrying" | "completed" | "failed" | "cancelled" | "expired" | (string & {});

/** One failure as it is stored, returned by the API and published. */
export interface Failure {
  code: FailureCode;
  fault: Fault;
  retryable: boolean;
  message: string;
}

/** A stable code for each way a prediction can fail. Clients may branch on it. */
export type FailureCode = "not_a_csv" | "empty_file" | "no_rows" | "unreadable_encoding" | "too_many_columns" | "line_too_long" | "file_too_large" | "too_many_rows" | "too_many_cells" | "result_too_large" | "required_columns_missing" | "mapping_needs_confirmation" | "invalid_mapping" | "implausible_values" | "too_many_bad_rows" | "upload_missing" | "upload_changed" | "model_unavailable" | "took_too_long" | "worker_crashed" | "attempts_exhausted" | "internal_error" | (string & {});

/** Who can fix a failure. */
export type Fault = "user" | "system" | (string & {});

/** How one feature of the file compares with the training data; rates are shares of rows between 0 and 1. */
export interface FeatureQuality {
  feature: string;
  /** Unit: share from 0 to 1. */
  missing_rate: number;
  /** Unit: share from 0 to 1. */
  unseen_rate: number;
  /** Unit: share from 0 to 1. */
  out_of_range_rate: number;
  psi: number | null;
}

/** The name, the size and the digest of a result file. */
export interface FileDigest {
  /** Unit: bytes. */
  size_bytes: number;
  sha256: string;
  name: "scores.parquet" | "scores.csv" | "rejected.csv" | "manifest.json" | "worklist.parquet";
}

/** The answer of `/livez` and `/readyz`: HTTP 503 if the state is failed, otherwise 200. */
export interface Health {
  state: HealthState;
  service: string;
  checks: readonly Check[];
}

/** The state of a service or of one of its dependencies. */
export type HealthState = "ok" | "degraded" | "failed" | (string & {});

export type JsonValue = unknown;

/** The header that was read as a feature, and the confidence of the match (1 is certain). */
export interface MappedColumn {
  feature: string;
  header: string;
  method: "explicit" | "exact" | "normalised" | "alias" | "fuzzy";
  /** Unit: share from 0 to 1. */
  confidence: number;
  /** The unit conversion made, such as 'years to months'. */
  conversion: string | null;
}

/** A model by name and version, written `name@version` in text. */
export interface ModelReference {
  name: string;
  version: string;
}

/** `retainwise.prediction.cancelled.v1`: the tenant cancelled it, so there is no result. */
export interface PredictionCancelledV1 {
  prediction_id: string;
  tenant_id: string;
  model: ModelReference;
  /** Unit: attempts. */
  attempts: number;
  requested_at: string;
  finished_at: string;
}

/** `retainwise.prediction.completed.v1`: the result files are available. */
export interface PredictionCompletedV1 {
  prediction_id: string;
  tenant_id: string;
  model: ModelReference;
  rows: RowCounts;
  risk_distribution: RiskDistribution;
  result: ResultLocation;
  requested_at: string;
  finished_at: string;
}

/** One event of one prediction. */
export interface PredictionEvent {
  /** 1, 2, 3, … within the prediction, without gaps. */
  sequence: number;
  type: EventType;
  at: string;
  /** What is to be said of it, by the event's type. */
  detail: Readonly<Record<string, JsonValue>>;
}

/** `retainwise.prediction.failed.v1`: there is no result; `status` is FAILED or EXPIRED. */
export interface PredictionFailedV1 {
  prediction_id: string;
  tenant_id: string;
  model: ModelReference;
  status: PredictionStatus;
  /** Null if the status is the whole explanation. */
  failure: Failure | null;
  /** Unit: attempts. */
  attempts: number;
  requested_at: string;
  finished_at: string;
}

/** A file to score. */
export interface PredictionRequestedV1 {
  prediction_id: string;
  tenant_id: string;
  upload: UploadReference;
  model: ModelReference;
  mapping: Readonly<Record<string, string>>;
  options: ScoringOptions;
  requested_at: string;
  /** No attempt starts after this time; the prediction is then EXPIRED. Null: it never expires. */
  deadline: string | null;
}

/** The status of a prediction. It only moves forward; the phase shows a failed attempt. */
export type PredictionStatus = "QUEUED" | "RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "EXPIRED" | (string & {});

/** How far the scores of this file can be trusted, given its data. */
export type QualityGrade = "good" | "fair" | "poor" | (string & {});

/** One reason for a score. */
export interface Reason {
  feature: string;
  /** Unit: log-odds. */
  effect: number;
  value: string | null;
  text: string;
}

/** A result file as a completed prediction names it. */
export interface ResultFile {
  /** Unit: bytes. */
  size_bytes: number;
  sha256: string;
  name: "scores.parquet" | "scores.csv" | "rejected.csv" | "manifest.json";
  key: string;
  media_type: string;
}

/** Where the result files are. The files never change. */
export interface ResultLocation {
  bucket: string;
  files: readonly ResultFile[];
}

/** `manifest.json`: the input, the model and the output files of a prediction. */
export interface ResultManifest {
  manifest_version?: 1;
  prediction_id: string;
  input: ContentDigest;
  model: ScoringModel;
  rows: RowCounts;
  csv: CsvFormat;
  outputs: readonly FileDigest[];
  /** The versions of the packages that computed the scores. */
  versions: Readonly<Record<string, string>>;
}

/** The number of customers at each risk level, without those who have left already. */
export interface RiskDistribution {
  /** Unit: customers. */
  low: number;
  /** Unit: customers. */
  medium: number;
  /** Unit: customers. */
  high: number;
}

/** The level of a churn probability. */
export type RiskLevel = "LOW" | "MEDIUM" | "HIGH" | (string & {});

/** The number of rows of the file: `total = scored + rejected`. */
export interface RowCounts {
  /** Unit: rows. */
  total: number;
  /** Unit: rows. */
  scored: number;
  /** Unit: rows. */
  rejected: number;
}

/** The model that was used: its reference and the digest of its ONNX file. */
export interface ScoringModel {
  model: ModelReference;
  sha256: string;
}

/** The options a tenant may set. */
export interface ScoringOptions {
  /** Reasons for each customer's score. */
  reasons?: number;
  /** Features whose values the tenant confirms although most of them are unlike those the model was trained on. */
  confirmed?: readonly string[];
  /** By feature: a spelling in the file, to the model's category that it means. It goes before what the model knows of spellings. */
  values?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Of the customers' values; only shown. */
  currency?: string | null;
  /** What the column mapped as `customer_value` is paid for. */
  customer_value_period?: "month" | "year";
}

/** How the upload was read. */
export interface SourceFormat {
  encoding: string;
  delimiter: string;
  /** The header's row as a spreadsheet shows it, from 1. */
  header_row: number;
}

/** The summary of a scored file. `expected_churners` is the sum of the probabilities. */
export interface Summary {
  /** Unit: probability from 0 to 1. */
  mean_probability: number;
  expected_churners: number;
  risk_distribution: RiskDistribution;
  /** Unit: customers. */
  already_left: number;
  drivers: readonly Driver[];
  highest_risk: readonly CustomerAtRisk[];
  quality: DataQuality;
  mapping: readonly MappedColumn[];
  unused_columns: readonly string[];
  source: SourceFormat;
  /** Null if the file does not say what customers pay. */
  value?: ValueSummary | null;
  /** Customers by probability, in 20 equally wide bins from 0 to 1; each includes its lower bound, the last one 1 too. Empty in results of older releases. */
  histogram?: readonly number[];
}

/** The object a worker reads. `sha256` and `size_bytes` are those of the uploaded bytes. */
export interface UploadReference {
  bucket: string;
  key: string;
  /** Null if the bucket is not versioned. */
  version_id: string | null;
  /** Unit: bytes. */
  size_bytes: number;
  sha256: string;
}

/** What the customers pay, and what of it is at stake: of those whose value is known and who remain. */
export interface ValueSummary {
  /** `customer_value` if a column was mapped as such, else the model's feature that is taken for it. */
  feature: string;
  period: "month" | "year";
  /** As the request says; null if it does not. */
  currency: string | null;
  /** How many have a value. Unit: customers. */
  customers: number;
  /** What they pay. */
  total: number;
  /** What those at HIGH risk pay. */
  at_risk: number;
  /** The sum of probability times value. */
  expected_loss: number;
}

/** The CloudEvents 1.0 envelope. `Type` is the message's type, `Data` what it says. */
export interface Envelope<Type extends string, Data> {
  specversion: "1.0";
  id: string;
  source: string;
  type: Type;
  subject: string;
  time: string;
  datacontenttype: "application/json";
  dataschema: string;
  tenantid: string;
  traceparent: string | null;
  data: Data;
}

/** A message, by its type. */
export type Message =
  | Envelope<"retainwise.prediction.requested.v1", PredictionRequestedV1>
  | Envelope<"retainwise.prediction.completed.v1", PredictionCompletedV1>
  | Envelope<"retainwise.prediction.failed.v1", PredictionFailedV1>
  | Envelope<"retainwise.prediction.cancelled.v1", PredictionCancelledV1>;
