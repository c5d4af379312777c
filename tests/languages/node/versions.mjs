// The versions that are locked: not every package lets its own file be imported.
import { readFileSync } from 'node:fs';

const lock = JSON.parse(readFileSync(new URL('./package-lock.json', import.meta.url)));
export default Object.fromEntries(
  Object.entries(lock.packages).map(([path, { version }]) => [path.replace('node_modules/', ''), version]),
);
