import { type ErrorEntry, REFUSALS } from './refusals.js';
import type { RejectReason } from './rejectReasons.js';

/**
 * Every error that a person or a program can meet, by its code, beside the refusals below. Codes are part of the interface: they are in logs,
 * answers and exit lines, and never change their meaning. docs/errors.md is made from this.
 */
export const GENERAL_ERRORS = {
  ECAVG_CONFIG_FILE: {
    cause: 'The settings file is not there, can not be read, or holds no map of fields.',
    mend: 'Check the path given with --config, and its permissions.',
  },
  ECAVG_CONFIG_YAML: { cause: 'The settings file is not YAML.', mend: 'Mend the line that the message names.' },
  ECAVG_CONFIG_FIELD: {
    cause: 'A field of the settings, or an environment variable for it, is missing, unknown or out of range.',
    mend: 'The message names file, field, value and what is expected; --print-config shows what is in force.',
  },
  ECAVG_CONFIG_COMBINATION: {
    cause: 'Two settings, or a setting and the data or model, do not go together.',
    mend: 'The message names both; change one.',
  },
  ECAVG_ARGUMENT: {
    cause: 'A flag or argument of the command line is missing, unknown or of the wrong form.',
    mend: 'See --help of the command, which has examples.',
  },
  ECAVG_SECRET_FILE: {
    cause: 'A file with a password, token, key or certificate is missing, unreadable, empty or too short.',
    mend: 'Check the path in the message and who may read it; the message says what makes one.',
  },
  ECAVG_EXTENSION_LOAD: {
    cause: 'A module named under `extensions` is not there, or throws while it is loaded.',
    mend: 'Paths count from the settings file; run `node FILE` to see the module’s own error.',
  },
  ECAVG_EXTENSION_SHAPE: {
    cause: 'What a module under `extensions` exports is no extension, or one of its records lacks a part.',
    mend: 'Hold it against the conformance suite (docs/extensions.md).',
  },
  ECAVG_EXTENSION_NAME: {
    cause: 'An extension’s record has a name that is taken, or is no name.',
    mend: 'Give the record another name: small letters, digits and dashes.',
  },
  ECAVG_RECORD_UNKNOWN: {
    cause: 'A combiner, weighting, source, op or the like of this name does not exist.',
    mend: 'Take one of those that the message lists, or load the extension that adds it.',
  },
  ECAVG_STATE_DAMAGED: {
    cause: 'A file in a data folder is cut off or holds something else.',
    mend: 'Restore it from a backup, or move it away to start it anew (docs/state-files.md says what is lost).',
  },
  ECAVG_STATE_NEWER: {
    cause: 'A file in a data folder was written by a newer release.',
    mend: 'Run that release or a newer one, or restore the backup from before the upgrade.',
  },
  ECAVG_STATE_ROLE: {
    cause: 'The data folder belongs to another daemon.',
    mend: 'Give each daemon a dataDir of its own.',
  },
  ECAVG_STORAGE: {
    cause: 'A file can not be written or read: a full disk, permissions, or too many open files.',
    mend: 'Make room or give permission; what was under way is tried again.',
  },
  ECAVG_FILE: {
    cause: 'A file or folder that a command was given is not there, can not be read, or is there already.',
    mend: 'Check the path in the message.',
  },
  ECAVG_NAME: {
    cause: 'A name has signs that are not allowed, or is too long.',
    mend: 'The message says which signs are.',
  },
  ECAVG_CONNECTION: {
    cause: 'The broker, a database or another server is not reached, or the connection to it broke.',
    mend: 'Check address, port and firewall; it is tried again.',
  },
  ECAVG_NOT_FOUND: {
    cause: 'There is no model, version, edge, user, role or token of this name.',
    mend: 'The message names the command that lists what there is.',
  },
  ECAVG_AMBIGUOUS: {
    cause: 'The settings hold several models, and the command did not say which is meant.',
    mend: 'Add --fleet and --model as the message shows.',
  },
  ECAVG_NOT_READY: {
    cause: 'The daemon is still starting, or the broker is not reached.',
    mend: 'Try again when it is.',
  },
  ECAVG_NOT_NOW: {
    cause: 'What was asked for makes no change, or there is nothing to do it with.',
    mend: 'The message says what holds now.',
  },
  ECAVG_NO_ANSWER: {
    cause: 'No running daemon answered in time.',
    mend: 'Start it, or wait longer with --wait; the request is kept where the message says so.',
  },
  ECAVG_SIGN_IN: {
    cause: 'Nobody is signed in, or name, password or token is wrong.',
    mend: 'Sign in, or make a user or token with `ecavg cloud user add` or `api-token`.',
  },
  ECAVG_FORBIDDEN: {
    cause: 'Who is signed in may not do this, or the request comes from another site.',
    mend: 'Sign in as an operator, on the address that the dashboard has.',
  },
  ECAVG_TOO_MANY_REQUESTS: { cause: 'Too many sign-ins in a minute.', mend: 'Wait a minute.' },
  ECAVG_HTTP_REQUEST: {
    cause: 'A request to the HTTP API has a body, query or path of another form, or there is no such path.',
    mend: '/api/v1/openapi.json says what each path takes.',
  },
  ECAVG_BROKER_USERS: {
    cause: 'The broker’s settings name no users file, or it has no users.',
    mend: '`ecavg broker init` makes a set; `ecavg broker user add` adds one.',
  },
  ECAVG_BROKER_LISTEN: {
    cause: 'The broker can not listen on an address: taken, not this machine’s, or open to all without users.',
    mend: 'Take another port or host, or add users.',
  },
  ECAVG_BROKER_PERSISTENCE: {
    cause: 'The broker’s store on disk or Redis can not be opened.',
    mend: 'One broker only may use a folder; check that Redis answers at the address.',
  },
  ECAVG_BROKER_PACKET: {
    cause: 'A client sent a packet that is too large or malformed; its connection was closed.',
    mend: 'Raise limits.packetBytes if the client is yours.',
  },
  ECAVG_BROKER_ACCESS: {
    cause:
      'The broker refused a client or a message: wrong password or certificate, or a topic that its role may not use.',
    mend: 'The broker’s log says which; `ecavg broker user list` shows users and roles.',
  },
  ECAVG_INSTALL: {
    cause: 'Installing the service failed: no root, no such user, a relative path, or systemctl refused.',
    mend: 'The message names which.',
  },
  ECAVG_ENROL: {
    cause: 'The cloud did not take the enrolment.',
    mend: 'Make a new token with `ecavg cloud token`; it is for one edge, once, and for a while.',
  },
  ECAVG_MODEL_FILE: {
    cause: 'The file is no ONNX model, is damaged, or keeps its weights in another file.',
    mend: 'Export it again as one float32 .onnx file (docs/own-model.md).',
  },
  ECAVG_MODEL_SHAPE: {
    cause: 'The model’s inputs, outputs or tensors do not have the shape that is needed.',
    mend: 'The message names tensor and shape; check the sample shape and the classes.',
  },
  ECAVG_MODEL_OP: {
    cause: 'An op of the model, or this form of it, can not be trained through.',
    mend: 'docs/training.md lists what can; export the model another way, or freeze what lies before the op.',
  },
  ECAVG_MODEL_OPTION: {
    cause: 'An option of loss, optimiser, width or training is out of range, or does not fit the model.',
    mend: 'The message names option, value and range.',
  },
  ECAVG_MODEL_RUNTIME: {
    cause: 'ONNX Runtime or TensorFlow refused a graph, or a training engine is not installed.',
    mend: '`ecavg doctor` says what works on this machine.',
  },
  ECAVG_TRAINING_DIVERGED: {
    cause: 'Training gave values that are not finite.',
    mend: 'Lower the learning rate, or look at the data for huge values.',
  },
  ECAVG_TRAINING_DATA: {
    cause: 'Samples do not fit the model, or there are none.',
    mend: 'Check shapes, classes and labels as the message says.',
  },
  ECAVG_POWER_MEMORY: {
    cause: 'Training would need more memory than power.maxMemoryMegabytes allows; the gateway sits out the round.',
    mend: 'Raise the limit, or train a slice of the model (train.width).',
  },
  ECAVG_INFER_REQUEST: {
    cause: 'A request for inference is too large or of another form.',
    mend: 'docs/gateway.md shows one.',
  },
  ECAVG_DATA_FILE: {
    cause: 'A data set or recording is missing, damaged or of another form.',
    mend: 'The message names file, line or column.',
  },
  ECAVG_DATA_SPLIT: {
    cause: 'The samples are too few, or of the wrong kind, for so many parts.',
    mend: 'Take fewer gateways, another partition, or more data.',
  },
  ECAVG_AGGREGATE: {
    cause: 'Updates can not be combined: too few for the combiner, or none.',
    mend: 'Wait for more edges, or take another combiner (docs/strategies.md).',
  },
  ECAVG_PROGRAM: {
    cause: 'A function was called with something that it does not take, or a state that can not be was met.',
    mend: 'In your own code: mend the call. From a daemon: please report it, with the log.',
  },
  ECAVG_DOCTOR: {
    cause: 'A check of `ecavg doctor` found something missing or wrong.',
    mend: 'Its line says what; parts marked optional can be done without.',
  },
  ECAVG_CONFORMANCE: {
    cause: 'A record of an extension did not do in time what the conformance suite waits for.',
    mend: 'The message names the step; see docs/extensions.md.',
  },
  ECAVG_DEMO: {
    cause: 'A process of the demo ended before it was ready, or unexpectedly.',
    mend: 'Its last lines stand below the message; `ecavg doctor` looks for what is missing.',
  },
  ECAVG_STOPPED: {
    cause: 'What was under way was ended: the daemon stops, or a newer round or version came.',
    mend: 'Nothing.',
  },
  ECAVG_UNEXPECTED: {
    cause: 'Something that nobody foresaw.',
    mend: 'Please report it, with the log.',
  },
} as const satisfies Readonly<Record<`ECAVG_${string}`, ErrorEntry>>;

type Screaming<S extends string> = S extends `${infer A}-${infer B}` ? `${Uppercase<A>}_${Screaming<B>}` : Uppercase<S>;

/** A stable name of an error, such as `ECAVG_CONFIG_FIELD`; docs/errors.md says what each means. */
export type ErrorCode = keyof typeof GENERAL_ERRORS | `ECAVG_REFUSED_${Screaming<RejectReason>}`;

/** The code of a refusal: `ECAVG_REFUSED_ROUND_CLOSED` of `round-closed`. */
export function refusalCode<R extends RejectReason>(reason: R): `ECAVG_REFUSED_${Screaming<R>}` {
  return `ECAVG_REFUSED_${reason.toUpperCase().replaceAll('-', '_') as Screaming<R>}`;
}

/** Every code with its cause and mend. */
export const ERRORS = {
  ...GENERAL_ERRORS,
  ...Object.fromEntries(
    Object.entries(REFUSALS).map(([reason, entry]) => [refusalCode(reason as RejectReason), entry]),
  ),
} as Readonly<Record<ErrorCode, ErrorEntry>>;
