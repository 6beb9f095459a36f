/** On which line of a JSON document's text the elements of its lists begin: JSON.parse() does not say. */

/** A text, a sign, an end of a line, or what stands between them. The text is valid JSON. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}:,]|\n|[^\s"[\]{}:,]+/g

/** The lines of the elements of each list that is a member of the document itself. */
export function linesOfElements(text: string): ReadonlyMap<string, readonly number[]> {
  const found = new Map<string, number[]>()
  let line = 1
  let depth = 0
  let name: string | undefined
  let list: number[] | undefined
  let begins = false
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '\n') {
      line++
      continue
    }
    if (begins && list !== undefined && token !== ']') list.push(line)
    begins = false
    if (token === '{' || token === '[') {
      if (token === '[' && depth === 1 && name !== undefined) {
        list = []
        found.set(name, list)
        begins = true
      }
      depth++
    } else if (token === '}' || token === ']') {
      depth--
      if (depth === 1) list = undefined
    } else if (token === ',') begins = depth === 2 && list !== undefined
    else if (depth === 1 && token.startsWith('"')) name = JSON.parse(token)
  }
  return found
}
