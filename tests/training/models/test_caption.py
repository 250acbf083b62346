import torch

from training.models.caption import START, CaptionModel, CaptionModelSettings

V, N, T = 11, 3, 5


def make_model() -> CaptionModel:
    torch.manual_seed(1)
    settings = CaptionModelSettings(row_size=7, image_size=9, embedding_size=4, hidden_size=6)
    return CaptionModel(V, settings).eval()


@torch.no_grad()
def test_sentences_written_word_by_word_have_the_logits_of_the_fast_path() -> None:
    model = make_model()
    images = 16 * torch.rand(N, 8, 8)
    words = torch.randint(V, (N, T))
    words[:, 0] = START
    expected = model(images, words)
    outputs, state = model.unroll(images, model.initial_state(N))
    assert outputs == {}
    for step in range(T):
        torch.testing.assert_close(state["pending_logits"], expected[:, step], rtol=0, atol=1e-5)
        if step + 1 < T:
            _, state = model.decoder.unroll(words[:, step + 1 : step + 2], state)


@torch.no_grad()
def test_a_sentence_begins_anew_with_every_image() -> None:
    model = make_model()
    images = 16 * torch.rand(N, 8, 8)
    _, first = model.unroll(images, model.initial_state(N))
    used = {name: torch.randn_like(values) for name, values in first.items()}
    _, again = model.unroll(images, used)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["h"][:, 0], first["h"][:, 1])
    assert list(first) == [tensor.name for tensor in model.state]
