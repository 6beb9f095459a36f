import type { Plugin } from 'rolldown'

/** How often the mistake was planted. */
export const planted = { count: 0 }

/** Plants a mistake: a restore that writes the backup over the file as `cp` would. */
export const copyOver: Plugin = {
  name: 'copy-over',
  transform(code, id) {
    if (!id.endsWith('/src/restore/restore.ts')) return
    const whole = '  await stepwise(source, path, {'
    if (code.split(whole).length !== 2) throw new Error('There is no place to plant the mistake in.')
    planted.count++
    return `import { readFileSync, openSync, writeSync, closeSync } from 'node:fs'
      function planted(from, to) {
        const bytes = readFileSync(from)
        const handle = openSync(to, 'r+')
        for (let at = 0; at < bytes.length; at += 65536) {
          writeSync(handle, bytes, at, Math.min(65536, bytes.length - at), at)
          // A disk takes its time.
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
        }
        closeSync(handle)
      }
      ${code.replace(whole, `  planted(source.name, path)\n  if (String(1) !== '1') ${whole.trim()}`)}`
  },
}
