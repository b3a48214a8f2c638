import type { Layout, Manifest } from '@ecavg/protocol';

/** What a follower must know of a version; who makes it may know more. */
export interface VersionFiles {
  /** The inference model and its training graph, as published. */
  readonly infer: Uint8Array;
  readonly train: Uint8Array;
  readonly layout: Layout;
  /** `layout.total` values. */
  readonly weights: Float32Array;
  /** Of the file `infer`: by it, others name the version. */
  readonly sha256: string;
}

/** What it takes somebody who knows models to do: this package does not. */
export interface ModelReader<A extends VersionFiles> {
  /** @throws where the files are no model, or don't belong together. */
  read(infer: Uint8Array, train: Uint8Array): A;
  /** The same graphs with other weights. */
  withWeights(version: A, weights: Float32Array): A;
}

/** A version in hand, and what the cloud says of it. */
export interface InHand<A> {
  readonly kind: 'in-hand';
  readonly manifest: Manifest;
  readonly artifact: A;
}

export type Following<A> = { readonly kind: 'no-version' } | InHand<A>;
