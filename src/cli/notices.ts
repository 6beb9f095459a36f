/** Writes on stderr what a command that runs for long has met, for whoever reads its log. A text is written when it changes. */
export function notices(): (text: string) => void {
  let last: string | undefined
  return (text) => {
    if (text === last) return
    last = text
    // Over a counter, which has no end of line.
    process.stderr.write(`${process.stderr.isTTY ? '\r\u001b[K' : ''}${text}\n`)
  }
}
