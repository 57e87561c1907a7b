/**
 * Every file that a child loads, by name. Deno parses a file twice if it is the first to import
 * another one. So this file, which is short, is the first: it saves a child 2 to 5 of 47 ms.
 *
 * @module
 */

import "../framing/binary.ts";
import "../framing/decoder.ts";
import "../framing/encoder.ts";
import "../framing/errors.ts";
import "../framing/memory.ts";
import "../framing/scavenge.ts";
import "../framing/text.ts";
import "../channel/message_reader.ts";
import "../channel/message_writer.ts";
import "../channel/schema.ts";
import "../channel/serializations.ts";
import "../channel/structured.ts";
import "../channel/transports.ts";
import "../channel/waiting.ts";
import "./connection.ts";
import "./environment.ts";
import "./errors.ts";
import "./hooks.ts";
import "./tracing.ts";
import "./waiting.ts";
