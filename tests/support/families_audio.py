"""Tiny audio-text models, one that sees and hears, and classifiers, each with the family's own processor class."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, ClassVar
from unittest import mock

import torch
import transformers as hf
from support.family_parts import (
    CHATML,
    IDS,
    MROPE,
    RATE,
    TEXT,
    VOCABULARY,
    WIDTH,
    Family,
    chat,
    grown,
    tokenizer,
    with_video_slot,
)
from transformers.audio_utils import make_list_of_audio, mel_filter_bank

MELS = 16
THREE_CLASSES: dict[str, Any] = WIDTH | {"num_labels": 3}
HEARING: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "num_mel_bins": MELS,
}


def _ears() -> hf.WhisperFeatureExtractor:
    """Whisper's feature extractor for clips of a second at most: 100 frames, 50 positions."""
    return hf.WhisperFeatureExtractor(feature_size=MELS, chunk_length=1)


@cache
def qwen2_audio() -> Family:
    template = chat(audio="Audio: <|audio_bos|><|AUDIO|><|audio_eos|>\n")
    words = tokenizer(["<|audio_bos|>", "<|audio_eos|>", *CHATML], template, audio_token="<|AUDIO|>")
    processor = hf.Qwen2AudioProcessor(_ears(), words, chat_template=template)
    config = hf.Qwen2AudioConfig(
        audio_config=hf.Qwen2AudioEncoderConfig(**HEARING, max_source_positions=50),
        text_config=hf.Qwen2Config(**TEXT, **IDS),
        audio_token_index=processor.audio_token_id,
    )
    return Family("qwen2_audio", grown(lambda: hf.Qwen2AudioForConditionalGeneration(config)), processor, ("audio",))


class GraniteSpeechFeatureExtractor(hf.GraniteSpeechFeatureExtractor):
    """Its mel spectrogram comes from torchaudio; here the same one (squared, HTK scale, no norm) from torch's own STFT."""

    def __init__(self, n_mels: int = MELS) -> None:
        """What the class sets, short of torchaudio's module."""
        hf.SequenceFeatureExtractor.__init__(self, feature_size=n_mels, sampling_rate=RATE, padding_value=0.0)
        self.melspec_kwargs = {"sample_rate": RATE, "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": n_mels}
        self.projector_window_size, self.projector_downsample_rate = 15, 5
        self.filters = torch.from_numpy(mel_filter_bank(257, n_mels, 0.0, RATE / 2, RATE, mel_scale="htk")).float()

    def mel_filters(self, audio: torch.Tensor) -> torch.Tensor:
        """(clips, samples) to (clips, mels, frames), as torchaudio.transforms.MelSpectrogram."""
        window = torch.hann_window(400)
        spectrum = torch.stft(audio, 512, 160, 400, window, center=True, pad_mode="reflect", return_complex=True)
        return (spectrum.abs().square().mT @ self.filters).mT

    def __call__(self, audios: Any, device: str | None = None) -> hf.BatchFeature:
        """As the class does it; only the check for torchaudio is passed over."""
        with mock.patch("transformers.models.granite_speech.feature_extraction_granite_speech.requires_backends"):
            return super().__call__(audios, device=None)


@cache
def granite_speech() -> Family:
    template = chat(audio="<|audio|>", start="{{ m.role | upper }}: ", end="\n ", answer="ASSISTANT:")
    words = tokenizer([], template, audio_token="<|audio|>")
    processor = hf.GraniteSpeechProcessor(GraniteSpeechFeatureExtractor(), words, chat_template=template)
    config = hf.GraniteSpeechConfig(
        text_config=hf.GraniteConfig(**TEXT, **IDS),
        encoder_config=hf.GraniteSpeechEncoderConfig(
            input_dim=2 * MELS, num_layers=2, hidden_dim=32, num_heads=4, output_dim=12, context_size=20, max_pos_emb=40
        ),
        projector_config=hf.Blip2QFormerConfig(**WIDTH, encoder_hidden_size=32),
        audio_token_index=words.audio_token_id,
        has_lora_adapter=False,
    )
    return Family("granite_speech", grown(lambda: hf.GraniteSpeechForConditionalGeneration(config)), processor, ("audio",))


class VoxtralProcessor(hf.VoxtralProcessor):
    """Voxtral's processor with a plain tokenizer, called as any other.

    The class leaves chats and clips to the tokenizer of mistral-common and refuses text with an audio token; with a tokenizer
    that has a template the base class does both, given how many tokens stand for a clip.
    """

    audio_kwargs = hf.VoxtralProcessor.audio_kwargs | {"pad_to_multiple_of": 10240, "max_source_positions": 64}
    text_kwargs: ClassVar[Any] = {}
    apply_chat_template = hf.ProcessorMixin.apply_chat_template
    __call__: Any = hf.ProcessorMixin.__call__

    def _process_audio(self, audio: Any, **options: Any) -> tuple[dict[str, torch.Tensor], list[str]]:
        chunks = [self._retrieve_input_features([sound], **options) for sound in make_list_of_audio(audio)]
        return {"input_features": torch.cat(chunks)}, [self.audio_token * (8 * len(chunk)) for chunk in chunks]


@cache
def voxtral() -> Family:
    template = chat(
        audio="[BEGIN_AUDIO][AUDIO]",
        start="{{ '[INST]' if m.role == 'user' }}",
        end="{{ '[/INST]' if m.role == 'user' else '</s>' }}",
        answer="",
        first="<s>",
    )
    fillers = [f"<SPECIAL_{number}>" for number in range(7, 24)]
    words = tokenizer(["[INST]", "[/INST]", "[BEGIN_AUDIO]", *fillers, "[AUDIO]"], template, bos="<s>")
    processor = VoxtralProcessor(_ears(), words)
    processor.chat_template = template
    ears = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = hf.VoxtralConfig(
        audio_config=ears | {"num_mel_bins": MELS, "max_source_positions": 32},
        text_config=hf.LlamaConfig(**TEXT, **IDS).to_dict(),
        audio_token_id=words.convert_tokens_to_ids("[AUDIO]"),
    )
    return Family("voxtral", grown(lambda: hf.VoxtralForConditionalGeneration(config)), processor, ("audio",))


@cache
def qwen2_5_omni() -> Family:
    template = chat("<|vision_bos|><|IMAGE|><|vision_eos|>", "<|audio_bos|><|AUDIO|><|audio_eos|>")
    soft = {"image_token": "<|IMAGE|>", "audio_token": "<|AUDIO|>", "video_token": "<|VIDEO|>"}
    ends = {f"{sense}_{end}_token": f"<|{sense}_{end}|>" for sense in ("vision", "audio") for end in ("bos", "eos")}
    words = tokenizer(CHATML, template, **soft, **ends)
    images = hf.Qwen2VLImageProcessorPil(patch_size=4, size={"shortest_edge": 64, "longest_edge": 4096})
    slots = {"image_processor": images, "feature_extractor": _ears(), "tokenizer": words, "chat_template": template}
    processor = with_video_slot(hf.Qwen2_5OmniProcessor, **slots)
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "patch_size": 4}
    starts = {"vision_start_token": "<|vision_bos|>", "audio_start_token": "<|audio_bos|>", "audio_end_token": "<|audio_eos|>"}
    ids: dict[str, Any] = {f"{name}_id": words.convert_tokens_to_ids(token) for name, token in (soft | starts).items()}
    config = hf.Qwen2_5OmniThinkerConfig(
        audio_config=HEARING | {"max_source_positions": 50, "n_window": 10, "output_dim": 32},
        vision_config=vision | {"out_hidden_size": 32, "window_size": 16, "fullatt_block_indexes": [1]},
        text_config={**TEXT, **IDS, "rope_parameters": MROPE},
        **ids,
    )
    model = grown(lambda: hf.Qwen2_5OmniThinkerForConditionalGeneration(config))
    return Family("qwen2_5_omni", model, processor, ("image", "audio"))


@cache
def qwen2_5_omni_speaking() -> Family:
    """The same thinker with a mouth: a talker that turns its words into codes, and what turns codes into sound."""
    thinking = qwen2_5_omni()
    talker = hf.Qwen2_5OmniTalkerConfig(
        **TEXT | {"vocab_size": 64, "head_dim": 8, "embedding_size": 32}, rope_parameters=MROPE, codec_pad_token=0
    )
    echo: dict[str, Any] = {"enc_channels": [16, 16], "enc_kernel_sizes": [3, 1], "enc_dilations": [1, 1]}
    echo |= {"enc_emb_dim": 16, "enc_dim": 16, "enc_attention_channels": 8, "enc_res2net_scale": 2, "enc_se_channels": 8}
    voice: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 16}
    voice |= {"ff_mult": 1, "emb_dim": 16, "num_embeds": 64, "mel_dim": 8, **echo}
    sound: dict[str, Any] = {"mel_dim": 8, "upsample_initial_channel": 16, "upsample_rates": [2], "upsample_kernel_sizes": [4]}
    sound |= {"resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]]}
    config = hf.Qwen2_5OmniConfig(
        thinker_config=thinking.model.config,
        talker_config=talker,
        token2wav_config=hf.Qwen2_5OmniToken2WavConfig(dit_config=voice, bigvgan_config=sound),
    )
    model = hf.Qwen2_5OmniForConditionalGeneration(config).eval()
    model.thinker.load_state_dict(thinking.model.state_dict())
    model.speaker_map["Chelsie"] = {"bos_token": 5}
    return Family("qwen2_5_omni", model, thinking.processor, thinking.modalities)


@cache
def whisper() -> Family:
    marks = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>"]
    core = json.loads(tokenizer([], "").backend_tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in core["merges"]]
    words: Any = hf.WhisperTokenizer(
        vocab=core["vocab"], merges=merges, additional_special_tokens=marks, pad_token="<|endoftext|>"
    )
    config = hf.WhisperConfig(
        **HEARING,
        decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=64,
        vocab_size=VOCABULARY,
        max_source_positions=50,
        max_target_positions=64,
        decoder_start_token_id=words.convert_tokens_to_ids(marks[0]),
        pad_token_id=words.pad_token_id,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        begin_suppress_tokens=None,
    )
    model = grown(lambda: hf.WhisperForConditionalGeneration(config), factor=10.0)
    return Family("whisper", model, hf.WhisperProcessor(_ears(), words), ("audio",))


@cache
def vit() -> Family:
    config = hf.ViTConfig(**THREE_CLASSES, image_size=32, patch_size=8)
    images = hf.ViTImageProcessorPil(size={"height": 32, "width": 32})
    return Family("vit", grown(lambda: hf.ViTForImageClassification(config)), images)


@cache
def ast() -> Family:
    """A spectrogram classifier: frames and mel bands cut into patches."""
    config = hf.ASTConfig(**THREE_CLASSES, max_length=64, num_mel_bins=MELS, patch_size=8, frequency_stride=8, time_stride=8)
    sounds = hf.ASTFeatureExtractor(num_mel_bins=MELS, max_length=64)
    return Family("ast", grown(lambda: hf.ASTForAudioClassification(config)), sounds, ("audio",))


@cache
def wav2vec2() -> Family:
    """A waveform classifier."""
    convolutions: dict[str, Any] = {"conv_dim": [32, 32, 32], "conv_stride": [10, 8, 4], "conv_kernel": [10, 8, 4]}
    config = hf.Wav2Vec2Config(
        **THREE_CLASSES,
        **convolutions,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        classifier_proj_size=32,
    )
    sounds = hf.Wav2Vec2FeatureExtractor()
    return Family("wav2vec2", grown(lambda: hf.Wav2Vec2ForSequenceClassification(config)), sounds, ("audio",))
