import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { sha256Hex } from '@ecavg/protocol';
import { z } from 'zod';
import { type Artifact, readArtifact } from './artifact.js';
import { ModelError, serializeModel } from './onnx/model.js';
import { withWeightInputs } from './weights.js';

/** Files of an artifact folder: all that another program needs to run, train or evaluate the model. */
const FILES = {
  /** Inference, weights inside: plain ONNX. */
  infer: 'infer.onnx',
  /** One training step. */
  train: 'train.onnx',
  /** Inference with the trained tensors as inputs. */
  eval: 'eval.onnx',
  /** Trained tensors in the layout's order, float32 little-endian. */
  weights: 'weights.bin',
} as const;

const fileSchema = z.object({ sha256: z.string(), size: z.int() });
const tensorSchema = z.object({ name: z.string(), shape: z.array(z.int()) });
const manifestSchema = z.object({
  format: z.literal(1),
  files: z.object({ infer: fileSchema, train: fileSchema, eval: fileSchema, weights: fileSchema }),
  layout: z.string(),
  loss: z.string(),
  optimizer: z.string(),
  batch: z.int(),
  input: tensorSchema,
  output: tensorSchema,
  parameters: z.array(tensorSchema),
  buffers: z.array(tensorSchema),
});

/** What `manifest.json` of a model folder says: sha256 and size of each file, the layout, loss, optimiser, batch and shapes. */
export type FolderManifest = z.infer<typeof manifestSchema>;

/**
 * Writes an artifact as a folder: complete, or not at all (docs/training.md lists its files).
 * @returns its manifest. @throws ModelError where the folder exists already.
 */
export async function writeArtifactFolder(folder: string, artifact: Artifact): Promise<FolderManifest> {
  const { info, layout, weights } = artifact;
  const contents: Record<keyof typeof FILES, Uint8Array> = {
    infer: artifact.infer,
    train: artifact.train,
    eval: serializeModel(withWeightInputs(artifact.model, layout)),
    weights: new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength),
  };
  const describe = (bytes: Uint8Array) => ({ sha256: sha256Hex(bytes), size: bytes.length });
  const manifest = manifestSchema.parse({
    format: 1,
    files: Object.fromEntries(Object.entries(contents).map(([k, bytes]) => [k, describe(bytes)])),
    layout: layout.hash,
    ...info,
  });
  const parent = dirname(folder);
  await mkdir(parent, { recursive: true });
  const draft = await mkdtemp(join(parent, `.${basename(folder)}-`));
  try {
    for (const [key, file] of Object.entries(FILES)) {
      await writeFile(join(draft, file), contents[key as keyof typeof FILES]);
    }
    await writeFile(join(draft, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    await rename(draft, folder);
  } catch (cause) {
    await rm(draft, { recursive: true, force: true });
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(code)) {
      throw new ModelError('ECAVG_FILE', `${folder} exists already: remove it, or name another with --out`, { cause });
    }
    throw cause;
  }
  return manifest;
}

/** Reads a folder back. @throws ModelError that names a file that is missing, damaged or not of ecavg. */
export async function readArtifactFolder(folder: string): Promise<{ artifact: Artifact; manifest: FolderManifest }> {
  const read = async (name: string): Promise<Buffer> => {
    try {
      return await readFile(join(folder, name));
    } catch (cause) {
      throw new ModelError(
        'ECAVG_FILE',
        `${join(folder, name)} can't be read (${(cause as NodeJS.ErrnoException).code})`,
        { cause },
      );
    }
  };
  let manifest: FolderManifest;
  try {
    manifest = manifestSchema.parse(JSON.parse((await read('manifest.json')).toString('utf8')));
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    throw new ModelError('ECAVG_MODEL_FILE', `${join(folder, 'manifest.json')} is no manifest of a prepared model`, {
      cause,
    });
  }
  const [infer, train] = [await read(FILES.infer), await read(FILES.train)];
  for (const [key, bytes] of [
    ['infer', infer],
    ['train', train],
  ] as const) {
    if (sha256Hex(bytes) !== manifest.files[key].sha256) {
      throw new ModelError(
        'ECAVG_MODEL_FILE',
        `${join(folder, FILES[key])} is not the file that the manifest names: its sha256 differs`,
      );
    }
  }
  return { artifact: readArtifact(infer, train), manifest };
}
