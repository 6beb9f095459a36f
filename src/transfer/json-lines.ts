/** Finds the line on which each element of a JSON document's lists begins, which JSON.parse() does not tell. */

/** Matches a string, a punctuation mark, a line end, or any other token of valid JSON. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}:,]|\n|[^\s"[\]{}:,]+/g

/** The elements' lines, for each list that is a top-level member. */
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
