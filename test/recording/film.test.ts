/** Pictures of terminals become one SVG, and the one that the README shows is such a file. */

import { readFileSync } from 'node:fs'
import t from 'tap'
import { film, type Picture } from './film.ts'

const OPTIONS = { columns: 10, rows: 2, ms: 1_000, text: 'a < b' }

function typed(at: number, text: string): Picture {
  return { at, rows: [[{ column: 0, text }], []] }
}

t.test('a row is a strip of what it showed, moved at the time it changed', async (t) => {
  const pictures = [typed(0, 'a'), typed(250, 'ab'), typed(300, 'ab'), typed(500, 'abc')]
  const svg = film([{ title: 'ada', pictures }], OPTIONS)
  const moves =
    '0%{transform:translateY(0px)}25%{transform:translateY(-18px)}50%{transform:translateY(-36px)}'
  t.ok(svg.includes(`@keyframes s0r0{${moves}}`))
  t.match(
    svg,
    /\.s0r0\{transform:translateY\(-36px\);animation:s0r0 1000ms step-end infinite\}/,
    'the last one where nothing moves',
  )
  t.equal(svg.match(/<text x=/g)?.length, 3, 'what is the same is drawn once')
  t.notMatch(svg, /s0r1/, 'an empty row is not there')
})

t.test('what was typed cannot become markup', async (t) => {
  const svg = film([{ title: '<b>', pictures: [typed(0, '<&>')] }], OPTIONS)
  t.match(svg, />&lt;&amp;&gt;<\/text>/)
  t.match(svg, /<title>a &lt; b<\/title>/)
  t.notMatch(svg, /<b>/)
})

t.test('colours, grounds and weights are drawn', async (t) => {
  const run = { column: 2, text: 'hi', colour: '#ff0000', ground: '#00ff00', bold: true, dim: true }
  const svg = film([{ title: 'ada', pictures: [{ at: 0, rows: [[run]] }] }], OPTIONS)
  t.match(svg, /<rect x="16" y="0" width="16" height="18" fill="#00ff00"\/>/)
  t.match(svg, /<text class="b d" x="16" y="13" textLength="16"[^>]* style="fill:#ff0000">hi</)
})

t.test('the recording of the README is small, runs nothing and loads nothing', async (t) => {
  const svg = readFileSync(new URL('../../docs/recording.svg', import.meta.url), 'utf8')
  t.ok(svg.length < 100_000, `${svg.length} octets`)
  t.notMatch(svg, /<script|<foreignObject|\bon\w+=|@import|@font-face|url\(|href=/)
  t.match(svg, /prefers-reduced-motion:reduce/)
  t.match(svg, /lyre chat --name ada/)
})
