import type { CloudEvent } from '@ecavg/cloud';
import { CodedError } from '@ecavg/protocol/errors';

/** Follows the cloud's server-sent events until the signal aborts or the stream ends. */
export async function* followEvents(url: string, signal: AbortSignal): AsyncGenerator<CloudEvent> {
  const response = await fetch(`${url}/api/v1/events`, { signal });
  if (!response.ok || !response.body)
    throw new CodedError('ECAVG_DEMO', `${url}/api/v1/events answered ${response.status}`);
  let text = '';
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const data = block.split('\n').find((line) => line.startsWith('data: '));
      if (data) yield JSON.parse(data.slice(6)) as CloudEvent;
    }
  }
}
