const MINUTE = 60_000;
const DAY = 24 * 60;

const minutes = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3, 5));

/**
 * Milliseconds until a time that lies in one of the spans (local time, as in 22:00-06:00); 0 where it does now, or there are none.
 */
export function untilAllowed(spans: readonly string[], now: Date): number {
  if (spans.length === 0) return 0;
  const at = now.getHours() * 60 + now.getMinutes();
  const waits = spans.map((span) => {
    const [begin, end] = [minutes(span.slice(0, 5)), minutes(span.slice(6))];
    const inside = begin < end ? at >= begin && at < end : at >= begin || at < end;
    return inside ? 0 : (begin - at + DAY) % DAY;
  });
  const least = Math.min(...waits);
  return least === 0 ? 0 : least * MINUTE - now.getSeconds() * 1000 - now.getMilliseconds();
}
