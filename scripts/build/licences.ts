import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { OutputChunk } from 'rolldown'
import { readJson } from './files.ts'

interface Manifest {
  readonly name: string
  readonly version: string
  readonly license?: string
}

/** The texts of licences that ask to be passed on, for packages that are published without theirs. */
const TEXTS = join(import.meta.dirname, 'licences')
const LICENCE_FILE = /^(licen[cs]e|copying|notice)/i

/** Writes the licences of all packages whose code is in the chunks. Throws if one has none. */
export async function writeLicences(file: string, chunks: readonly OutputChunk[]): Promise<string[]> {
  const folders = new Set<string>()
  for (const { modules } of chunks) {
    for (const [id, { renderedLength }] of Object.entries(modules)) {
      const folder = renderedLength > 0 ? packageFolder(id) : undefined
      if (folder !== undefined) folders.add(folder)
    }
  }
  const sections = new Map<string, string>()
  for (const folder of folders) {
    const { name, version, license = 'unknown' } = await readJson<Manifest>(join(folder, 'package.json'))
    sections.set(`${name} ${version} (${license})`, await licenceOf(folder, name, license))
  }
  const names = [...sections.keys()].sort()
  const text = names.map((name) => `${name}\n${'-'.repeat(name.length)}\n\n${sections.get(name)}\n`)
  await writeFile(file, `The files beside this one contain code of the packages below.\n\n\n${text.join('\n\n')}`)
  return names
}

/** The innermost package that a module belongs to; `undefined` for the project's own. */
function packageFolder(moduleId: string): string | undefined {
  const marker = `${sep}node_modules${sep}`
  const at = moduleId.lastIndexOf(marker)
  if (at === -1) return undefined
  const inside = moduleId.slice(at + marker.length).split(sep)
  const name = inside[0]?.startsWith('@') ? inside.slice(0, 2) : inside.slice(0, 1)
  return moduleId.slice(0, at + marker.length) + name.join(sep)
}

async function licenceOf(folder: string, name: string, license: string): Promise<string> {
  const files = (await readdir(folder)).filter((file) => LICENCE_FILE.test(file)).sort()
  if (files.length > 0) {
    const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
    return texts.map((text) => text.trim()).join('\n\n')
  }
  if (!(await readdir(TEXTS)).includes(`${license}.txt`)) {
    throw new Error(`${name} is bundled and has no licence text. Put the text of ${license} into ${TEXTS}.`)
  }
  const text = await readFile(join(TEXTS, `${license}.txt`), 'utf8')
  return `The package is published without a licence text; its package.json names ${license}.\n\n${text.trim()}`
}
