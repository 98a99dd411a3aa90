//! The words with which queries refer to a document, by language, in lower case.

/// The words of a language. A field that is a string is a list of words, separated by spaces.
pub(super) struct Words {
    /// Determiners of something that the reader is looking at.
    pub(super) given: &'static str,
    pub(super) this: &'static str,
    pub(super) the: &'static str,
    /// "in the" and the like, as one word.
    pub(super) in_the: &'static str,
    pub(super) within: &'static str,
    /// The beginning of a question, before its subject.
    pub(super) does: &'static str,
    /// "according to" and the like.
    pub(super) sources: &'static [&'static str],
    /// Whether "according to" may be followed by a noun without an article.
    pub(super) has_bare_sources: bool,
    /// Verbs of saying, with their participles.
    pub(super) says: &'static str,
    /// Whether the verb of a question comes before its subject.
    pub(super) is_inverted: bool,
    /// General words for a document, with all forms of each noun: text, passage, article.
    pub(super) media: &'static [&'static str],
    /// Words for kinds of documents that can also be their subject, with all forms of each noun: contract, report.
    pub(super) works: &'static [&'static str],
}

pub(super) const LANGUAGES: [Words; 8] = [ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN, PORTUGUESE, DUTCH, POLISH];

const ENGLISH: Words = Words {
    given: "given provided above preceding aforementioned",
    this: "this these",
    the: "the",
    in_the: "",
    within: "in from of by about within throughout into",
    does: "does did do",
    sources: &["according to", "based on", "as per"],
    has_bare_sources: false,
    says: "say says said state states stated mention mentions mentioned describe describes described discuss \
        discusses discussed explain explains explained argue argues argued recommend recommends recommended \
        suggest suggests suggested conclude concludes concluded cite cites cited quoted outline outlines \
        outlined emphasize emphasizes highlight highlights",
    is_inverted: false,
    media: &[
        "document documents",
        "text texts",
        "passage passages",
        "article articles",
        "section sections",
        "paragraph paragraphs",
        "excerpt excerpts",
        "chapter chapters",
        "snippet snippets",
        "author authors",
        "above",
    ],
    works: &[
        "agreement agreements",
        "contract contracts",
        "report reports",
        "paper papers",
        "study studies",
        "letter letters",
        "page pages",
    ],
};

const GERMAN: Words = Words {
    given: "vorliegende vorliegenden vorliegendem vorliegender obige obigen obigem gegebenen",
    this: "dieses diesem dieser diesen diese",
    the: "der die das dem den des",
    in_the: "im vom",
    within: "in aus von",
    does: "",
    sources: &["laut", "gemäß", "entsprechend"],
    has_bare_sources: true,
    says: "sagt sagen besagt schreibt erwähnt beschreibt beschrieben erklärt erläutert empfiehlt empfohlen \
        behauptet nennt genannt zufolge steht diskutiert",
    is_inverted: true,
    media: &[
        "dokument dokuments dokumentes dokumente dokumenten",
        "text texts textes texte texten",
        "abschnitt abschnitts abschnittes abschnitte abschnitten",
        "artikel artikels artikeln",
        "auszug auszugs auszuges",
        "passage passagen",
        "autor autors autorin autoren",
    ],
    works: &[
        "vertrag vertrags vertrages verträge verträgen",
        "vereinbarung vereinbarungen",
        "bericht berichts berichtes berichte berichten",
        "studie studien",
    ],
};

const FRENCH: Words = Words {
    given: "présent présente précédent",
    this: "ce cet cette ces",
    the: "le la l les",
    in_the: "du au",
    within: "dans de par",
    does: "",
    sources: &["selon", "après", "suivant"],
    has_bare_sources: false,
    says: "dit dire mentionne mentionné mentionnée mentionnés mentionnées décrit décrite décrits explique expliqué \
        recommande recommandé affirme cite cité cités indique suggère",
    is_inverted: true,
    media: &[
        "document documents",
        "texte textes",
        "article articles",
        "passage passages",
        "extrait extraits",
        "auteur auteurs autrice",
    ],
    works: &["contrat contrats", "accord accords", "rapport rapports", "étude études"],
};

const SPANISH: Words = Words {
    given: "presente anterior",
    this: "este esta estos estas",
    the: "el la los las",
    in_the: "del al",
    within: "en de por",
    does: "",
    sources: &["según", "conforme"],
    has_bare_sources: false,
    says: "dice dicen menciona mencionado mencionada mencionados mencionadas describe descrito explica explicado \
        recomienda afirma cita citado indica sugiere",
    is_inverted: true,
    media: &[
        "documento documentos",
        "texto textos",
        "artículo artículos",
        "pasaje pasajes",
        "fragmento fragmentos",
        "autor autora autores",
    ],
    works: &["contrato contratos", "acuerdo acuerdos", "informe informes", "estudio estudios"],
};

const ITALIAN: Words = Words {
    given: "presente precedente suddetto",
    this: "questo questa quest questi queste",
    the: "il lo la l i gli le",
    in_the: "nel nell nello del dell dal dall",
    within: "in di da",
    does: "",
    sources: &["secondo", "in base a"],
    has_bare_sources: false,
    says: "dice dicono menziona menzionato menzionata menzionati descrive descritto spiega spiegato raccomanda \
        afferma cita citato indica suggerisce",
    is_inverted: true,
    media: &[
        "documento documenti",
        "testo testi",
        "articolo articoli",
        "brano brani",
        "estratto estratti",
        "autore autori autrice",
    ],
    works: &["contratto contratti", "accordo accordi", "rapporto rapporti", "studio studi"],
};

const PORTUGUESE: Words = Words {
    given: "presente neste nesta deste desta acima",
    this: "este esta esse essa",
    the: "o a os as",
    in_the: "no na do da pelo",
    within: "em de por",
    does: "",
    sources: &["segundo", "conforme", "de acordo com"],
    has_bare_sources: false,
    says: "diz dizem menciona mencionado mencionada mencionados descreve descrito explica explicado recomenda \
        afirma cita citado indica sugere",
    is_inverted: true,
    media: &[
        "documento documentos",
        "texto textos",
        "artigo artigos",
        "trecho trechos",
        "excerto excertos",
        "autor autora autores",
    ],
    works: &["contrato contratos", "acordo acordos", "relatório relatórios", "estudo estudos"],
};

const DUTCH: Words = Words {
    given: "bovenstaande gegeven onderhavige",
    this: "dit deze",
    the: "de het",
    in_the: "",
    within: "in uit van",
    does: "",
    sources: &["volgens", "op basis van"],
    has_bare_sources: false,
    says: "zegt zeggen vermeldt vermeld genoemd noemt beschrijft beschreven verklaart uitgelegd beveelt staat",
    is_inverted: true,
    media: &[
        "document documenten",
        "tekst teksten",
        "artikel artikelen",
        "passage passages",
        "fragment fragmenten",
        "auteur auteurs",
    ],
    works: &["contract contracten", "overeenkomst overeenkomsten", "rapport rapporten", "studie studies"],
};

/// Polish has no articles.
const POLISH: Words = Words {
    given: "niniejszy niniejszym niniejszego powyższy powyższym powyższego podanym",
    this: "ten tym tego ta tej",
    the: "",
    in_the: "",
    within: "w z o",
    does: "",
    sources: &["według", "zgodnie z"],
    has_bare_sources: true,
    says: "mówi mówią wspomina wspomniano opisuje opisano opisany wyjaśnia wyjaśniono zaleca twierdzi cytuje podaje",
    is_inverted: true,
    media: &[
        "dokument dokumentu dokumencie dokumentem dokumenty",
        "tekst tekstu tekście tekstem teksty",
        "artykuł artykułu artykule artykułem",
        "fragment fragmentu fragmencie",
        "autor autora autorem",
    ],
    works: &["umowa umowy umowie umową umowę", "raport raportu raporcie"],
};
