import type { RejectReason } from './rejectReasons.js';

/** What a person is told about an error code: why it comes, and what mends it. */
export interface ErrorEntry {
  readonly cause: string;
  readonly mend: string;
}

/** Refusals of messages; each is the receipt's `reason` as well. */
export const REFUSALS: Readonly<Record<RejectReason, ErrorEntry>> = {
  'unknown-topic': { cause: 'A message on a topic that is none of ours.', mend: 'See docs/wire-format.md.' },
  'bad-identifier': {
    cause: 'A name in a topic is too long or has other signs than letters, digits, "_", "-" and ".".',
    mend: 'Choose another name in the settings.',
  },
  'too-large': {
    cause: 'A message or blob is larger than is allowed.',
    mend: 'Check that both ends follow the same model.',
  },
  'not-messagepack': { cause: 'The payload is no MessagePack.', mend: 'See docs/wire-format.md.' },
  'schema-version': {
    cause: 'The message is of another version of the wire format.',
    mend: 'Bring cloud and gateways to releases that go together.',
  },
  schema: { cause: 'A field of a message is missing or of the wrong kind.', mend: 'See docs/wire-format.md.' },
  'identity-mismatch': {
    cause: 'What a message says of fleet, edge, model or round differs from its topic or header.',
    mend: 'Two gateways may have the same name: each needs its own.',
  },
  'unknown-model': { cause: 'The cloud has no model of this name.', mend: 'Set `model` to one that the cloud has.' },
  'bad-signature': {
    cause: 'A message is not signed by the key that is trusted.',
    mend: 'If a node was set up anew: `ecavg cloud revoke --forget`, or `trust.cloudKey` at the gateway.',
  },
  'unknown-edge': {
    cause: 'The edge is not enrolled, or was revoked.',
    mend: '`ecavg cloud token` and `ecavg edge enrol`.',
  },
  'bad-token': {
    cause: 'The one-time token is wrong, used, expired or for another edge.',
    mend: 'Make a new one with `ecavg cloud token`.',
  },
  replay: {
    cause: 'A version or round that is older than one already seen.',
    mend: 'If the cloud was restored from a backup, see docs/production.md.',
  },
  'round-closed': {
    cause: 'The update came after its round was closed, or its edge was not asked.',
    mend: 'Nothing: what it carried goes into the next one. Too often: raise rounds.deadlineSeconds.',
  },
  'base-mismatch': {
    cause: 'The update was made from another version than the round’s.',
    mend: 'Nothing: the edge takes the version in force and goes on.',
  },
  'crc-mismatch': { cause: 'A chunk was damaged on its way.', mend: 'Nothing: it is sent again.' },
  'hash-mismatch': { cause: 'A blob is not what its sha256 says.', mend: 'Nothing: it is sent again.' },
  'chunk-conflict': { cause: 'Two chunks of one blob contradict each other.', mend: 'Nothing: it is sent again.' },
  'too-many-transfers': { cause: 'Too many blobs are under way at once.', mend: 'Nothing: it is sent again later.' },
  duplicate: {
    cause: 'The round has another update of this edge already.',
    mend: 'Two gateways may have the same name: each needs its own.',
  },
  'unknown-codec': { cause: 'This release has no such codec.', mend: 'Bring both ends to the same release.' },
  'layout-mismatch': {
    cause: 'Tensor names or shapes, samples, or the way windows are cut differ between the ends.',
    mend: 'The same model and the same data.stream in the cloud and at the gateway.',
  },
  'reference-mismatch': {
    cause: 'The update was coded in the light of an earlier one that the cloud does not have.',
    mend: 'Nothing: it is coded again without.',
  },
  'not-wanted': { cause: 'Something was shared that the cloud did not ask for.', mend: 'Nothing.' },
  payload: { cause: 'The coded bytes can not be decoded.', mend: 'Bring both ends to the same release.' },
  'non-finite': {
    cause: 'The update has values that are not finite.',
    mend: 'The gateway’s training diverged: lower the learning rate, look at its data.',
  },
  storage: { cause: 'The cloud could not store the message.', mend: 'Make room on its disk; it is sent again.' },
};
