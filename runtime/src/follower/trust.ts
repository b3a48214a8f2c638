import { join } from 'node:path';
import { checkSigned, type Manifest, ProtocolError, type RoundMessage } from '@ecavg/protocol';
import { z } from 'zod';
import { StateFile } from '../stateFile.js';
import { StateFormat, unchanged } from '../stateFormat.js';

const trustSchema = z.object({
  /** The cloud's public key: the first one seen, or the one in the settings. */
  cloudKey: z.string().nullable(),
  /** Newest version and round seen: older ones are replays. */
  version: z.int(),
  round: z.int(),
  /** The key that was enrolled. */
  enrolled: z.string().nullable(),
});
type State = z.output<typeof trustSchema>;

const trustFormat = new StateFormat({
  kind: 'trust',
  at: { edge: 'trust.json', region: 'upstream/trust.json' },
  holds: 'which cloud is believed, the newest version and round seen of it, the key that is enrolled',
  removed: 'the next cloud that is seen is believed; older messages are no replays any more',
  format: 1,
  encoding: 'json',
  schema: trustSchema,
  migrations: { 0: unchanged },
});

/** Which cloud this edge believes, and what it has seen of it. */
export class Trust {
  #state: State;
  private constructor(
    private readonly file: StateFile<State>,
    state: State,
    private readonly configured: string | undefined,
  ) {
    this.#state = state;
  }

  static async open(folder: string, cloudKey: string | undefined): Promise<Trust> {
    const file = new StateFile(join(folder, 'trust.json'), trustFormat);
    const none = { cloudKey: null, version: 0, round: 0, enrolled: null };
    return new Trust(file, (await file.read()) ?? none, cloudKey);
  }

  isEnrolled(key: string): boolean {
    return this.#state.enrolled === key;
  }

  async enrolled(key: string): Promise<void> {
    await this.#save({ enrolled: key });
  }

  /** @throws `bad-signature` where the cloud is not the one this edge trusts, and `replay` where the message is older than one seen. */
  check(message: Manifest | RoundMessage): void {
    checkSigned(message);
    const wanted = this.configured ?? this.#state.cloudKey;
    if (wanted !== null && wanted !== message.key) {
      throw new ProtocolError(
        'bad-signature',
        `signed by key ${message.key}; this edge trusts ${wanted}: if the cloud was set up anew, ${this.configured ? 'change trust.cloudKey' : `remove ${this.file.path}`}`,
      );
    }
    const { version, round } = this.#state;
    if (message.type === 'manifest' ? message.version < version : message.round < round) {
      const [mine, its] = message.type === 'manifest' ? [version, message.version] : [round, message.round];
      throw new ProtocolError('replay', `${message.type} ${its} is older than ${mine}, which this edge has seen`);
    }
  }

  /** Remembers a message that passed `check`, before it is acted upon. */
  async remember(message: Manifest | RoundMessage): Promise<void> {
    const { version, round, cloudKey } = this.#state;
    const seen = message.type === 'manifest' ? { version: message.version } : { round: message.round };
    const known = message.type === 'manifest' ? message.version === version : message.round === round;
    if (known && cloudKey === message.key) return;
    await this.#save({ cloudKey: message.key, ...seen });
  }

  async #save(change: Partial<State>): Promise<void> {
    this.#state = { ...this.#state, ...change };
    await this.file.write(this.#state);
  }
}
