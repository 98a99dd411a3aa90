//! The sections after the flags in `--help` and the man page.

pub(super) const SECTIONS: &str = "\
Generators:
  openai      asks a language model on any OpenAI-compatible server for queries that the
              document answers, in the mix of kinds that --styles sets.
  extractive  needs no model: a document's title, key sentences and rarest terms are its queries.
              In 9 of 10 pairs, the sentence is removed from the document (inverse cloze task), so
              that a model cannot learn to match words only. Titles and sentences that two
              documents share are not used. The same input, seed and flags give the same bytes.
              The queries are the document's words and not a searcher's: good for a first try and
              as a baseline, but no substitute for a language model. Of the flags about queries,
              only -n and --seed apply.

Output:
  One pair a line, in the order of the documents: anchor (the query), positive (title and text, as
  they are embedded), anchor_id (the document's id with -q1, -q2 ...), positive_id (the document's
  id), group (the document's field of that name, else its id). If a document was split, positive is
  the passage, and there are also chunk (the passage's number, from 0), start and end (in characters
  of the document's text).

Dropped queries:
  empty      it has no letter and no digit
  example    it is one of the queries in --examples, which small models repeat
  duplicate  it equals an earlier query except for case and punctuation, or nearly equals one: the
             Jaccard similarity of their five-character shingles is at least 0.8 within a document,
             or 0.9 across documents. Queries with different numbers are never duplicates. Only the
             first million queries are remembered.
  copied     it has at least 7 words, and 90 % of it are copied from the passage
  reference  it says \"in this document\", \"according to the text\" and the like, in English, German,
             French, Spanish, Italian, Portuguese, Dutch or Polish. Phrases with another possible
             meaning, such as \"this agreement\" or \"does the text\", count only if the passage is not
             itself about agreements or texts.
  language   it is not in --language, or else not in the document's language, if both are detected.
             Words that the passage contains do not count, and Han characters alone do not
             distinguish Chinese, Japanese and Korean.

  --drop selects among these. In addition, a reply may lose queries that are \"cut off\" at its end,
  or \"beyond the number asked for\".

Prompt:
  --show-prompt prints the built-in template, and --prompt takes a changed copy of it. The blocks
  system and user of a template are the two messages; a template without blocks is the user's
  message. It may use title, text, id, n (the number of queries), styles (a list of count and what),
  language (none without --language) and examples (a list of text and queries).

Replies:
  First the model's thoughts are removed (<think> and similar tags, harmony's channels, a section
  called Thinking Process). The rest is read as JSON, which may be slightly wrong, cut off, and
  surrounded by other text: first whatever is called queries, at any depth, then questions and
  similar names, then objects with a query or question each (also JSON Lines), then a list. Of
  several such values, the last complete one counts, because the others are drafts. A schema or a
  placeholder (\"...\") is not an answer. Without JSON, the queries may be XML elements (<query>), a
  table, a list with numbers or bullets, or lines.

Journal:
  With --journal FILE, each reply is on disk before it is used. Another run with the same file uses
  the replies in it and asks only for the missing ones, so an interrupted or failed run is continued
  by repeating its command. A reply is identified by the passage's title and text, the prompt, the
  model and its parameters; documents with the same text share one.
  A reply without a query (empty, refused, stopped by moderation, or cut off) is paid for and counts
  as spent, but the next run asks for it once more, and reports for how many. After two such replies
  the document is not asked about again; the message names the key whose lines must be deleted for
  another try. Journals of earlier versions are read in the same way.
  A line that a crash has cut off is repaired. To ask again about one document, delete its line with
  reply. embtune-formats(5) describes the format of the file.

Cost:
  Before a request is sent, the most that it can cost is reserved: as many tokens as the request has
  bytes, and a reply of --max-completion-tokens (or the model's longest). When the answer has
  arrived, the server's token counts replace the reservation; they include reasoning, even if only
  the total contains it. Without such counts, the reservation counts as spent. A refused request
  costs nothing; one that timed out or broke off counts in full. The amounts spent and reserved
  together never exceed --max-usd and --max-tokens. With a journal, this is true for all runs with
  it together, so that a repeated command has the same cap: reservations are on disk before the
  request is sent, and the requests that a killed run had in flight (at most --concurrency and a
  quarter) count in full from then on. Replies paid for without a known price count at today's. When
  a cap is reached, no further request is sent, the pairs so far are written, and the exit code is
  1. A server that writes more than --max-completion-tokens, or charges for more than it counts, can
  exceed a cap.

  The prices of OpenAI's models at OpenAI are known (November 2026). They include the tenth that its
  regions (eu.api.openai.com and others) add for models since GPT-5.4, and the quarter that models
  since GPT-5.6 add for writing to their cache, as if that were the whole prompt. They do not
  include discounts for cached input, nor the surcharge for prompts of more than 272,000 tokens.
  Batches cost half. Elsewhere, including Azure, and if prices have changed, set --price-in and
  --price-out: 0 for a server of your own, and the price of batches for batches. A cap in dollars
  requires a price. --dry-run reports \"about\" (four letters a token, 20 tokens a query) and \"at
  most\" (what would be reserved). The progress bar shows the tokens and dollars so far.

Rate limits:
  --rpm and --tpm are spread evenly over the minute. Limits that the server reports in x-ratelimit
  headers, or in Anthropic's, are kept too; a reset may be a duration, a Unix time or a date. A
  reset in the past, or one that would allow less than one request a minute, is not trusted: the
  limit is then taken as one per minute, until the server refuses a request. After a 429, 503 or
  529, no request is sent until the pause that the server asks for is over, and half as many are in
  flight from then on; each round that succeeds adds one. Every wait of more than 5 s is reported.

Errors of the server:
  408, 409, 425, 429, 5xx, timeouts and lost connections are retried after random pauses that grow
  up to 60 s, or after the pause that the server asks for: in Retry-After, retry-after-ms, its
  message (\"try again in 20s\"), Google's retryDelay, or the reset of a limit that is used up. A
  pause of more than an hour is a daily quota: the run ends and says when the quota is available
  again. x-should-retry is followed. Other errors end the run at once. An error with status 200, at
  the top level or in a choice, is treated like any other; its code may be a number, a string
  (\"401\") or a name (rate_limit_exceeded). The partial reply before such an error is not used. Half
  a character (a lone surrogate, a byte that is not UTF-8) is read as U+FFFD and counted.

  A document is a bad record (--on-error) if it is too long for the model, if moderation or the
  model refuses it, if the reply has no query, if the server does not answer in any of the attempts,
  or if its answer is longer than 8 MiB. With skip, the run continues, and the summary counts
  passages without queries by the reason. Servers describe these errors in prose; the phrases of
  OpenAI, Azure, vLLM, SGLang, TGI, llama.cpp, Ollama, LM Studio, Anthropic, Mistral, Gemini,
  OpenRouter, DashScope and similar ones are known. Any other 400 or 422 concerns the document if
  the server has accepted another one before, and otherwise ends the run.

  If a server refuses max_tokens, max_completion_tokens, temperature or response_format, the request
  is sent again at once: with the other name of the limit, without the temperature, or with the form
  of the reply in the prompt only. A warning says so, and no document is lost.

Batches:
  --batch uploads the requests that the journal has no reply to, in files of at most 50,000, waits,
  and writes the pairs. The journal keeps track of the batches: the same command collects those that
  an interrupted one has sent. If a batch has expired, failed or was cancelled, its results are
  kept; the exit code is then 1, and the same command sends the rest. An unreadable line of the
  results affects only itself. Empty or incomplete results are downloaded again, twice. Requests
  without a result after that, and those of a batch or a result file that is gone from the server
  (404), are sent again, and count as spent with the most that they can have cost. A request that
  the server refused because of the content or length of its document makes the document a bad
  record, and is sent once more in all. While batches are in progress, the same journal cannot be
  used to send requests one by one. --emit-batch writes the requests to a file for other programs,
  such as vllm run-batch, and --ingest-batch reads their results, with the same flags as before; a
  file that is read twice is paid for once.

Memory:
  openai      4 times --concurrency passages; 40 bytes for each reply in the journal; 350 bytes for
              each of the first million queries; 8 MiB for an answer. Result files of batches are
              in the directory for temporary files.
  extractive  the whole input, because the rarity of a term depends on all documents

Environment:
  OPENAI_API_KEY     the API key, which is never logged; not needed for a server without keys.
  Azure,
                     in all its clouds (azure.com, azure.us, azure.cn), gets it as api-key; GitHub
                     Models and all other servers get it as Authorization: Bearer, and so does Azure
                     if it is a token of Entra ID
  OPENAI_BASE_URL    used without --base-url
  OPENAI_ORG_ID, OPENAI_PROJECT_ID
                     the organisation and project to bill, for accounts with several
  HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
                     a proxy of the kind http, https, socks4, socks4a, socks5 or socks5h, and the
                     hosts that are reached without it; other values are errors

Examples:
  docs2queries --llm gpt-4o-mini --dry-run corpus.jsonl
  docs2queries --llm gpt-4o-mini --max-usd 5 --journal replies.jsonl corpus.jsonl -o pairs.jsonl
  docs2queries --llm gpt-4o-mini --batch --journal replies.jsonl corpus.jsonl -o pairs.jsonl
  docs2queries --llm qwen3 --base-url http://localhost:11434/v1 -n 3 < corpus.jsonl | head
  docs2queries --llm qwen3 --emit-batch corpus.jsonl -o requests.jsonl
  docs2queries --llm qwen3 --ingest-batch results.jsonl corpus.jsonl -o pairs.jsonl
  docs2queries --generator extractive corpus.jsonl -o pairs.jsonl
";
