/**
 * Refuses a Node that is too old, with a sentence that helps. Imported before everything else: better-sqlite3 crashes
 * the process there, without a word. What is loaded up to here must itself run on such a Node.
 */

/** package.json, `engines`: the first version in which `require()` loads ES modules. */
const OLDEST = [22, 12] as const

/** What to tell somebody who runs this version of Node; `undefined` if it is new enough. */
function problemOf(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return undefined
  return [
    `meshstore needs Node.js ${OLDEST.join('.')} or newer, and this is ${version}.`,
    'Install a newer one from https://nodejs.org, or only for this project: `npm i node@24`, then start your program',
    'with `npx node app.mjs`.',
  ].join(' ')
}

const problem = problemOf(process.versions.node)
if (problem !== undefined) throw new Error(problem)
